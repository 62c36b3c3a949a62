"""Where S3 of AWS is."""

import os

# The partitions of AWS with a domain of their own, by what their regions' names start with.
AWS_DOMAINS = (
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
)


def aws_endpoint(region: str) -> str:
    """S3's URL in a region of AWS. The environment may ask for FIPS and dual-stack endpoints, as with all clients of AWS."""
    fips = "-fips" if os.environ.get("AWS_USE_FIPS_ENDPOINT") == "true" else ""
    stack = ".dualstack" if os.environ.get("AWS_USE_DUALSTACK_ENDPOINT") == "true" else ""
    domain = next((domain for start, domain in AWS_DOMAINS if region.startswith(start)), "amazonaws.com")
    return f"https://s3{fips}{stack}.{region}.{domain}"
