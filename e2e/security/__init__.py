"""Attacks by a tenant on the development cluster, each with the control that stops it. `make test-security` runs them, then removes the controls
one by one to show that each attack needs its control (`python3 -m e2e.security`)."""
