"""What to do about a reason: advice that stands beside ECS's and the engine's words and never replaces them.

Here and not with what talks to engines, because who asks why a task stopped asks the control plane.
"""

from __future__ import annotations

import re

_HINTS = (
    (
        r"logging driver: .*(dial|no such host|timeout)",
        "nothing answers where the log driver sends its lines: start what is to listen there, correct the "
        "driver's options, or use another driver",
    ),
    (
        r"access denied|repository does not exist|manifest unknown|manifest for .* not found",
        "check the image's name and tag; a private registry needs `docker login` on this machine",
    ),
    (
        r"^CannotPull.*"
        r"(no such host|dial tcp|network is unreachable|Client\.Timeout|TLS handshake|no answer)",
        "the registry cannot be reached from the engine: make the image available locally "
        "(`docker load`, `docker build` or `miniecs images`); an image that is there is not pulled",
    ),
    (
        r"port is already allocated|address already in use",
        "something else on this machine listens there: free the port, or use hostPort 0",
    ),
    (
        r"error while creating mount source path|error mounting .* to rootfs",
        "check the volume's sourcePath: it is a path of the machine that the engine runs on",
    ),
    (
        r"executable file not found|exec: .*no such file or directory|exec format error",
        "the command or entryPoint does not exist in the image, or is for another architecture",
    ),
    (r"minimum memory (limit|reservation) allowed", "give the container at least 6 MiB of memory"),
    (
        r"unable to find (user|group)",
        "the image has no such user: give its number, or a name of the image's own /etc/passwd",
    ),
    (r"no space left on device", "the engine's disk is full: `docker system df` shows by what"),
    (
        r"no log driver named|logging driver",
        "use a log driver that the engine has (`docker info` lists them) with the options that it needs",
    ),
    (r"OutOfMemoryError", "raise the container's `memory`, or the task's"),
    (
        r"does not exist and autoprovision is set to false",
        "make the volume with `docker volume create`, or let the task definition autoprovision it",
    ),
    (r"cannot connect to the Docker daemon", "start the engine: `sudo systemctl start docker`"),
)
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), text) for pattern, text in _HINTS)


def hint(words: str) -> str:
    """What to do about a reason, ECS's name for it included; '' when it says enough."""
    return next((text for pattern, text in _COMPILED if pattern.search(words)), "")
