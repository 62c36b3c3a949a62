"""The development cluster: real Kubernetes from package registries, or kind where a Docker engine answers.

    __main__      the verbs: up, down, status, images, clean, apiserver-up, apiserver-down
    cluster       which cluster (CLUSTER=auto|kind|native|current), and what every later step needs of it
    native        up and down of the native cluster      kind       the same for people with Docker
    controlplane  the flags of etcd and kube-apiserver   apiserver  only these two, without root, for tests
    node          containerd, kubelet, kube-proxy        network    addresses, pod network, what `down` removes
    addons        DNS, metrics, volumes                  volumes    the provisioner behind the default StorageClass
    golang        pinned Go modules -> cached binaries   packages   what comes from Debian
    images        the images                             buildah    how they are built without a Docker engine
    certificates, kubeconfig, processes, lock, places, progress: what these stand on

Standard library only: it runs with a bare `python3`, before any virtual environment exists.
"""
