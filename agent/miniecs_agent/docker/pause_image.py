"""The image of the container that holds a task's network namespace: one program that sleeps for ever.

Made on the spot and imported, so that no registry is needed: a static ELF of some 130 bytes that calls
pause(2), or where that is not there ppoll(2) on nothing, again and again. As process 1 it ignores every
signal but SIGKILL.
"""

from __future__ import annotations

import io
import struct
import tarfile

PROGRAM = "/pause"
LABEL = "miniecs.pause-image"
_BASE = 0x400000
_EHDR, _PHDR = 64, 56

# machine number of ELF, and the code
_CODE: dict[str, tuple[int, bytes]] = {
    # mov eax, 34; syscall; jmp to the start
    "x86_64": (62, bytes.fromhex("b822000000 0f05 ebf7")),
    # mov x0..x4, 0; mov x8, 73; svc 0; b to the start
    "arm64": (
        183,
        struct.pack(
            "<8I",
            *(0xD2800000 | register for register in range(5)),
            0xD2800928,
            0xD4000001,
            0x14000000 | (-7 & 0x03FFFFFF),
        ),
    ),
}


def reference(architecture: str) -> str:
    """What the image is called on an engine of this architecture (as ECS names it)."""
    return f"miniecs/pause:1-{architecture}"


def program(architecture: str) -> bytes:
    """The executable. Raises KeyError for an architecture that has none."""
    machine, code = _CODE[architecture]
    size = _EHDR + _PHDR + len(code)
    entry = _BASE + _EHDR + _PHDR
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    # executable, machine, version, entry, program headers at, no sections, flags, sizes and counts
    header += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, entry, _EHDR, 0, 0, _EHDR, _PHDR, 1, 0, 0, 0)
    # one segment: loaded, readable and executable, the whole file
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code


def archive(architecture: str) -> bytes:
    """The image's one layer, the same every time. Raises KeyError."""
    made = io.BytesIO()
    content = program(architecture)
    with tarfile.open(fileobj=made, mode="w") as tar:
        entry = tarfile.TarInfo(PROGRAM.lstrip("/"))
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()


CHANGES = (f'ENTRYPOINT ["{PROGRAM}"]', f"LABEL {LABEL}=1")
"""What makes the layer an image, as `docker import --change` takes it."""
