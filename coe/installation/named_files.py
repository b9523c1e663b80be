"""The files that settings name, read before a process needs them."""

from __future__ import annotations

from pathlib import Path

from coe.audit.sinks.configured import open_sinks
from coe.channels import Channels
from coe.crypto.server_certificate import CertificateRefused, ServerCertificate
from coe.errors import CoeError, Problem
from coe.identity.signin.issuers import Issuers
from coe.secrets import SecretStore
from coe.settings import Settings, read_settings


def unusable_files(config: Path | None = None) -> list[Problem]:
    """What is wrong with the files of sinks, channels, secrets, issuers and TLS; it blocks.

    The settings are valid. Keys are not looked at: `coe key list` does.
    """
    settings = read_settings(config)
    found = {
        "COE_CHANNELS_FILE": (settings.channels_file, Channels(settings.channels_file).problem()),
        "COE_SECRETS_FILE": (settings.secrets_file, SecretStore(settings.secrets_file).problem()),
        "COE_ISSUERS_FILE": (settings.issuers_file, Issuers(settings.issuers_file).problem()),
        "COE_TLS_CERT_FILE": (settings.tls_cert_file, _certificate(settings)),
    }
    problems = [
        Problem("SETTING_FILE", f"{file}: {why}", path=name)
        for name, (file, why) in found.items()
        if why is not None
    ]
    try:
        open_sinks(settings.checkpoint_sinks_file, settings.ca_file)
    except CoeError as error:
        problems.append(Problem("SETTING_FILE", error.message, path="COE_CHECKPOINT_SINKS_FILE"))
    return problems


def _certificate(settings: Settings) -> str | None:
    try:
        ServerCertificate.of(settings.tls_cert_file, settings.tls_key_file)
    except CertificateRefused as error:
        return error.message
    return None
