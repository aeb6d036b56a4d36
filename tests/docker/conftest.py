"""Real engines and real clusters for tests; after each test the state told is compared with the engines'.

Nothing outlives its test: no process, container, network, volume, port or namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from .clusters import Clusters, emptied
from .daemon import Daemon, Engine
from .engine import BUSYBOX, busybox_layer, import_busybox, install, shared_engine
from .engine_proxy import EngineProxy
from .history import History
from .miniecs import Miniecs
from .netns import Namespace, namespace
from .registry import Registry


def pytest_itemcollected(item: pytest.Item) -> None:
    """Every test here needs Docker and is slow; a module's tests share engines, so one worker runs them."""
    item.add_marker(pytest.mark.slow)
    item.add_marker(pytest.mark.docker)
    if item.get_closest_marker("xdist_group") is None:
        item.add_marker(pytest.mark.xdist_group(f"docker {item.path.stem}"))


# Engines


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The machine's engine, or one that is started for this session. Fails where there can be none."""
    with shared_engine() as found:
        yield found


@pytest.fixture(scope="session")
def busybox(engine: Engine) -> str:
    """An image with a shell, a web server and the usual programs, on the session's engine."""
    return BUSYBOX


@pytest.fixture
def no_shell(engine: Engine) -> Iterator[str]:
    """An image that holds one program, `sleep`, and nothing else."""
    image = "miniecs-test/no-shell:latest"
    import_busybox(engine, image, shell=False)
    yield image
    engine.client.images.remove(image, force=True)


@pytest.fixture
def history(engine: Engine) -> Iterator[History]:
    """What the session's engine does with containers during the test."""
    made = History(engine)
    yield made
    made.close()


@pytest.fixture(scope="session")
def registry(engine: Engine) -> Iterator[Registry]:
    """Images that the engine does not have: ``f"{registry.name}/image-a:1"``; removed afterwards."""
    # An engine does not ask for a layer that it has, of whichever image.
    made = Registry(lambda name: busybox_layer(mark=f"{name}-{uuid4().hex}"))
    made.start()
    yield made
    made.close()
    # One listing, and no question about each image: other tests remove theirs meanwhile.
    for image in engine.client.api.images():
        if any(tag.startswith(f"{made.name}/") for tag in image["RepoTags"] or ()):
            engine.client.images.remove(image["Id"], force=True)


@pytest.fixture
def engine_proxy(engine: Engine) -> Iterator[EngineProxy]:
    """The session's engine behind a line that can be held, cut and lied on."""
    proxy = EngineProxy(engine.url)
    proxy.start()
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def host() -> Iterator[Namespace]:
    """A machine of its own, as far as its network goes."""
    install()
    with namespace() as made:
        yield made


@pytest.fixture(scope="module")
def second_engine(host: Namespace) -> Iterator[Daemon]:
    """A dockerd in the network namespace ``host``, with busybox on it."""
    daemon = Daemon(netns=host.name)
    try:
        daemon.start()
        import_busybox(daemon, BUSYBOX)
        yield daemon
    finally:
        daemon.remove()


# Clusters


@pytest.fixture
def clusters(engine: Engine, busybox: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    """Clusters of one test: ``clusters.start("--instances", "1")``; checked and ended after it."""
    made = Clusters(lambda: tmp_path_factory.mktemp("miniecs"), engine)
    try:
        yield made
        made.check()
    finally:
        made.end()


@pytest.fixture(scope="module")
def module_clusters(
    engine: Engine, busybox: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clusters]:
    made = Clusters(lambda: tmp_path_factory.mktemp("miniecs"), engine)
    yield made
    made.end()


@pytest.fixture(scope="module")
def shared_miniecs(module_clusters: Clusters) -> Miniecs:
    """Three instances in three zones, every wait of ECS's ten times shorter; see ``miniecs``."""
    return module_clusters.start("--time-scale", "10")


@pytest.fixture
def miniecs(shared_miniecs: Miniecs, module_clusters: Clusters) -> Iterator[Miniecs]:
    """The module's cluster. Each test leaves it empty of tasks, or the next one has less room."""
    yield shared_miniecs
    module_clusters.check()
    emptied(shared_miniecs)
