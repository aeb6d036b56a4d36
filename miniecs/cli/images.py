"""``miniecs images``: the images that samples and courses name, on the engine that is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from miniecs.cli import output
from miniecs.cli.problem import Problem
from miniecs.clock import SystemClock
from miniecs.docker_api import DockerApi, DockerApiError, configured_host
from miniecs.images.provide import SAMPLES, CannotProvide, Provided, Provider, cache_folder


def images(names: Sequence[str], *, quiet: bool, as_json: bool) -> None:
    """Provide them, all of the samples' when none is named. Raises Problem."""
    host = configured_host()
    provided: list[Provided] = []
    failed: list[str] = []
    try:
        say = _silent if as_json else _say
        with Provider(DockerApi(host), cache_folder(), say, SystemClock().now) as provider:
            for name in names or SAMPLES:
                try:
                    provided.append(provider.provide(name))
                except CannotProvide as error:
                    failed.append(str(error))
    except DockerApiError as error:
        raise Problem(f"The engine at {host} refused: {error}") from error
    except (OSError, ValueError) as error:
        raise Problem(f"No engine answers at {host}: {error}. `miniecs doctor` says what to do.") from error
    if as_json and not failed:
        output.print_json({"engine": host, "images": [_document(image) for image in provided]})
    elif not as_json and not (quiet and all(image.how == "present" for image in provided)):
        _print(provided)
    if failed:
        raise Problem("\n".join(failed))


def _print(provided: Sequence[Provided]) -> None:
    output.print_table(("IMAGE", "ID", "SIZE", "NOW", "KIND"), map(_row, provided))
    if stand_ins := [image.name for image in provided if image.stand_in]:
        print(
            "\nA stand-in is made of Debian packages; it does what samples and courses ask of the image."
            "\nWhere a registry can be reached, the real one replaces it:"
        )
        for name in stand_ins:
            print(f"  docker pull {name}")


def _row(image: Provided) -> tuple[str, ...]:
    kind = "stand-in" if image.stand_in else "image"
    return (
        image.name,
        image.id.removeprefix("sha256:")[:12],
        f"{image.size / 1e6:.0f} MB",
        image.how,
        kind,
    )


def _document(image: Provided) -> dict[str, Any]:
    return {
        "name": image.name,
        "id": image.id,
        "size": image.size,
        "now": image.how,
        "standIn": image.stand_in,
    }


def _say(text: str) -> None:
    print(text, flush=True)


def _silent(text: str) -> None:
    """JSON is one document and nothing else."""
