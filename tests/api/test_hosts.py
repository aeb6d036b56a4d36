"""Host links without sockets: which machines an engine's agent is told of, and what its words do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miniecs.config import InstanceSpec
from miniecs.model.emulated import LOCAL, EmulatedInstance, EngineHost
from miniecs.model.instance_types import UnknownInstanceType
from miniecs.model.network import EngineNetworks, LoadBalancerAddress
from miniecs_api.hosts import HostHello, HostLink, HostLinks, HostRefused, HostSettings
from miniecs_api.machines import Machines
from miniecs_api.wire.errors import AwsError

from .conftest import Aws

CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/default"


class Site:
    """Links over a memory store; what happened on them is counted."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        aws.ecs("CreateCluster", clusterName="default")
        self.machines = Machines(aws.store, aws.ids, aws.scope, lambda n: f"us-east-1{'abc'[n % 3]}")
        settings = HostSettings(aws.scope, "0123456789ab", "/data", 2.0, True, "default", "t3.medium")
        self.links = HostLinks(aws.store, self.machines, settings)
        self.happened = 0
        self.links.start(self._count)

    def _count(self) -> None:
        self.happened += 1

    def launch(self, *types: str, host: str = LOCAL) -> list[EmulatedInstance]:
        return self.machines.launch(host, [InstanceSpec(type=type) for type in types])

    def register(self, machine: EmulatedInstance, **more: Any) -> str:
        return register(self.aws, machine.instance_id)


def register(aws: Aws, instance_id: str) -> str:
    resources = [
        {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": 4096},
    ]
    answer = aws.ecs(
        "RegisterContainerInstance",
        cluster="default",
        instanceIdentityDocument=f'{{"instanceId": "{instance_id}"}}',
        totalResources=resources,
    )
    return str(answer["containerInstance"]["containerInstanceArn"])


class Agent:
    """The other end of a link."""

    def __init__(self, site: Site, host: str = LOCAL, **hello: Any) -> None:
        self.inbox: list[dict[str, Any]] = []
        self.hung_up = 0
        words = HostHello.model_validate({"host": host, "name": host, **hello})
        self.link: HostLink = site.links.connect(site.aws.clock.time, words, self.inbox.append, self._closed)

    def _closed(self) -> None:
        self.hung_up += 1

    def told(self) -> list[list[str]]:
        """Instance ids of each set since the last call."""
        sets = [[each["instanceId"] for each in m["message"]["instances"]] for m in self.inbox]
        self.inbox.clear()
        return sets

    def says(self, **state: Any) -> None:
        self.link.receive({"type": "miniecs.HostState", "message": state})


@pytest.fixture
def site(aws: Aws) -> Site:
    return Site(aws)


def ids(machines: list[EmulatedInstance]) -> list[str]:
    return [machine.instance_id for machine in machines]


def test_a_host_is_told_all_that_it_is_to_play(site: Site) -> None:
    first, second = site.machines.launch(
        LOCAL,
        [InstanceSpec(type="t2.small", zone="us-east-1c", attributes=(("a", "1"),)), InstanceSpec()],
    )
    arn = site.register(second)
    agent = Agent(site)
    assert agent.inbox == [
        {
            "type": "miniecs.HostInstances",
            "message": {
                "owner": "0123456789ab",
                "dataDir": "/data",
                "timeScale": 2.0,
                "allowPrivileged": True,
                "account": "000000000000",
                "region": "us-east-1",
                "generation": 1,
                "instances": [
                    {
                        "instanceId": first.instance_id,
                        "arn": None,
                        "cluster": "default",
                        "zone": "us-east-1c",
                        "instanceType": "t2.small",
                        "cpu": 1024,
                        "memory": 2048,
                        "attributes": {"a": "1"},
                    },
                    {
                        "instanceId": second.instance_id,
                        "arn": arn,
                        "cluster": "default",
                        "zone": "us-east-1b",
                        "instanceType": "t3.medium",
                        "cpu": 2048,
                        "memory": 4096,
                        "attributes": {},
                    },
                ],
                "loadBalancers": [],
            },
        }
    ]


def test_every_change_of_its_set_is_told_and_no_other(site: Site) -> None:
    agent, other = Agent(site), Agent(site, "ENGINE")
    assert (agent.told(), other.told()) == ([[]], [[]])
    launched = site.launch("t2.small", "t2.small")
    assert (agent.told(), other.told()) == ([ids(launched)], [])
    [elsewhere] = site.launch("t2.small", host="ENGINE")
    assert (agent.told(), other.told()) == ([], [[elsewhere.instance_id]])
    site.machines.forget([launched[0].instance_id, "i-nobody"])
    assert (agent.told(), other.told()) == ([ids(launched[1:])], [])
    site.machines.forget(["i-nobody"])
    site.register(launched[1])
    assert (agent.told(), other.told()) == ([], [])


def test_a_machine_goes_with_its_container_instance(site: Site) -> None:
    agent = Agent(site)
    [machine] = site.launch("t3.medium")
    arn = site.register(machine)
    site.aws.ecs("UpdateContainerInstancesState", containerInstances=[arn], status="DRAINING")
    assert agent.told() == [[], [machine.instance_id]]
    site.aws.ecs("DeregisterContainerInstance", containerInstance=arn)
    assert agent.told() == [[]]
    assert site.machines.of(LOCAL) == []


def test_a_machine_that_never_registered_goes_with_its_cluster(site: Site) -> None:
    site.aws.ecs("CreateCluster", clusterName="other")
    site.machines.launch(LOCAL, [InstanceSpec(cluster="other")])
    [kept] = site.launch("t3.medium")
    site.aws.ecs("DeleteCluster", cluster="other")
    assert site.machines.of(LOCAL) == [kept]


def test_a_registration_in_another_cluster_is_not_the_machines(site: Site) -> None:
    """The same id there is somebody else's, and its end not this machine's."""
    [machine] = site.launch("t3.medium")
    site.aws.ecs("CreateCluster", clusterName="other")
    resources = [{"name": "CPU", "integerValue": 1}, {"name": "MEMORY", "integerValue": 1}]
    stranger = site.aws.ecs(
        "RegisterContainerInstance",
        cluster="other",
        instanceIdentityDocument=f'{{"instanceId": "{machine.instance_id}"}}',
        totalResources=resources,
    )["containerInstance"]["containerInstanceArn"]
    assert site.machines.registration(machine) is None
    arn = site.register(machine)
    site.aws.ecs("DeregisterContainerInstance", cluster="other", containerInstance=stranger)
    found = site.machines.registration(machine)
    assert found is not None and found.arn == arn
    assert site.machines.of(LOCAL) == [machine]


@pytest.mark.parametrize("cluster", ["nowhere", "arn:aws:ecs:us-east-1:000000000000:cluster/nowhere"])
def test_a_machine_needs_a_cluster_and_a_type(site: Site, cluster: str) -> None:
    with pytest.raises(AwsError) as refused:
        site.machines.launch(LOCAL, [InstanceSpec(), InstanceSpec(cluster=cluster)])
    assert refused.value.code == "ClusterNotFoundException"
    with pytest.raises(UnknownInstanceType):
        site.machines.launch(LOCAL, [InstanceSpec(), InstanceSpec(type="t9.huge")])
    assert site.machines.of(LOCAL) == []
    [machine] = site.machines.launch(LOCAL, [InstanceSpec(cluster=CLUSTER)])
    assert machine.cluster_arn == CLUSTER


def test_zones_take_turns_where_none_is_given(site: Site) -> None:
    zones = [machine.zone[-1] for machine in site.launch("t2.small", "t2.small", "t2.small", "t2.small")]
    assert zones == ["a", "b", "c", "a"]


# What becomes of machines


def test_an_agent_is_rid_of_a_machine_when_it_says_so_of_the_newest_set(site: Site) -> None:
    agent = Agent(site)
    [machine] = site.launch("t3.medium")
    id = machine.instance_id
    assert not agent.link.is_rid_of(id)  # it has said nothing yet
    agent.says(instances=[id], generation=2)
    site.machines.forget([id])
    agent.says(instances=[], generation=2)  # of the set before
    assert (agent.link.is_rid_of(id), agent.link.is_empty) == (False, False)
    agent.says(failed={id: "the network is in use"}, generation=3)
    assert (agent.link.is_rid_of(id), agent.link.is_empty) == (False, False)
    assert agent.link.failure(id) == "the network is in use"
    agent.says(generation=3)
    assert (agent.link.is_rid_of(id), agent.link.is_empty, agent.link.failure(id)) == (True, True, None)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "miniecs.HostState"},
        {"type": "miniecs.HostState", "message": {"instances": "i-1"}},
        {"type": "miniecs.HostState", "message": {"failed": ["i-1"]}},
        {"type": "miniecs.HostState", "message": {"engine": "perhaps"}},
        {"type": "miniecs.HostPong", "message": {}},
        {"type": ["miniecs.HostState"], "message": {}},
        {},
    ],
)
def test_what_is_no_state_changes_nothing(site: Site, message: dict[str, Any]) -> None:
    agent = Agent(site)
    agent.says(instances=["i-1"], engine=False)
    before, happened = agent.link.state, site.happened
    agent.link.receive(message)
    assert (agent.link.state, site.happened) == (before, happened)


def test_a_newer_link_replaces_the_older_one(site: Site) -> None:
    first = Agent(site)
    second = Agent(site)
    assert (first.hung_up, first.link.open, site.links.get(LOCAL)) == (1, False, second.link)
    first.link.closed()
    assert site.links.get(LOCAL) is second.link
    second.link.closed()
    assert (site.links.get(LOCAL), second.link.open) == (None, False)
    site.launch("t2.small")
    assert second.told() == [[]]


# Engines elsewhere

WANTS: dict[str, Any] = {"count": 2, "instanceType": "t2.small", "zone": "b", "attributes": {"disk": "ssd"}}


def test_an_engine_elsewhere_gets_what_it_wants_once(site: Site) -> None:
    agent = Agent(site, "ENGINE", wants=WANTS)
    machines = site.machines.of("ENGINE")
    assert agent.told() == [ids(machines)]
    assert [replace(machine, instance_id="") for machine in machines] == 2 * [
        EmulatedInstance("", "ENGINE", CLUSTER, "t2.small", "us-east-1b", (("disk", "ssd"),))
    ]
    assert list(site.aws.store.all(EngineHost)) == [EngineHost("ENGINE", "ENGINE")]
    site.machines.forget([machines[0].instance_id])
    again = Agent(site, "ENGINE", wants=WANTS)
    assert again.told() == [ids(machines[1:])]


def test_what_nobody_says_of_an_instance_is_as_with_up(site: Site) -> None:
    Agent(site, "ENGINE", wants={})
    [machine] = site.machines.of("ENGINE")
    assert (machine.cluster_arn, machine.instance_type, machine.zone) == (CLUSTER, "t3.medium", "us-east-1a")
    Agent(site, "OTHER")
    assert site.machines.of("OTHER") == []


@pytest.mark.parametrize(
    ("wants", "says"),
    [
        ({"cluster": "nowhere"}, "Cluster not found."),
        ({"zone": "eu-west-1a"}, "There is no zone 'eu-west-1a' in region us-east-1;"),
        ({"instanceType": "t9.huge"}, "'t9.huge' is not a known instance type."),
        ({"attributes": {"ecs.x": "1"}}, "The attribute 'ecs.x' is set by the agent"),
    ],
)
def test_wishes_that_cannot_be_are_refused_and_may_be_corrected(
    site: Site, wants: dict[str, Any], says: str
) -> None:
    with pytest.raises(HostRefused, match=f"^{says.replace('.', '[.]')}"):
        Agent(site, "ENGINE", wants=wants)
    assert (site.links.get("ENGINE"), list(site.aws.store.all(EngineHost))) == (None, [])
    Agent(site, "ENGINE", wants={"count": 1})
    assert len(site.machines.of("ENGINE")) == 1


def test_the_local_host_wants_nothing(site: Site) -> None:
    assert Agent(site, LOCAL, wants=WANTS).told() == [[]]


@pytest.mark.parametrize("restore", [True, False])
def test_after_a_reset_an_engine_elsewhere_begins_anew_or_has_nothing(site: Site, restore: bool) -> None:
    agent, local = Agent(site, "ENGINE", wants=WANTS), Agent(site)
    site.launch("t2.small")
    agent.told(), local.told()
    site.aws.store.wipe()
    site.aws.fleets.rebuild()
    site.links.wiped()
    assert (agent.told(), local.told()) == ([[]], [[]])
    site.aws.ecs("CreateCluster", clusterName="default")
    site.links.begin_anew(restore=restore)
    assert [len(told) for told in agent.told()] == ([2] if restore else [])
    assert local.told() == []
    Agent(site, "ENGINE", wants=WANTS)
    assert len(site.machines.of("ENGINE")) == (2 if restore else 0)


def test_wishes_that_a_reset_has_made_impossible_end_the_link(site: Site) -> None:
    agent = Agent(site, "ENGINE", wants=WANTS)
    site.aws.store.wipe()
    site.links.wiped()
    site.links.begin_anew(restore=True)
    assert (agent.hung_up, site.links.get("ENGINE")) == (1, None)


def test_a_stopped_site_hangs_up_and_follows_no_more(site: Site) -> None:
    agent = Agent(site)
    site.links.stop()
    agent.told()
    site.launch("t2.small")
    assert (agent.hung_up, agent.told(), site.links.get(LOCAL)) == (1, [], None)


def test_the_networks_of_an_engine_are_noted_also_after_a_reset(site: Site) -> None:
    def noted() -> list[EngineNetworks]:
        return list(site.aws.store.all(EngineNetworks))

    Agent(site, engine={"networks": ["172.17.0.0/16", "10.70.0.0/16", "fe80::/64", 7]})
    expected = [EngineNetworks(LOCAL, ("172.17.0.0/16", "10.70.0.0/16"))]
    assert noted() == expected
    site.aws.store.wipe()
    site.links.begin_anew(restore=False)
    assert noted() == expected
    Agent(site, engine={"networks": None})
    assert noted() == [EngineNetworks(LOCAL, ())]


def test_the_local_agent_is_told_of_load_balancers_and_tells_their_addresses(site: Site) -> None:
    agent, elsewhere = Agent(site), Agent(site, "elsewhere")

    def wanted(of: Agent) -> list[list[str]]:
        sets = [message["message"]["loadBalancers"] for message in of.inbox]
        of.inbox.clear()
        return sets

    assert wanted(agent) == [[]]
    made = site.aws.elbv2("CreateLoadBalancer", Name="web", Subnets=["subnet-a", "subnet-b"])
    arn = made["LoadBalancers"][0]["LoadBalancerArn"]
    assert wanted(agent) == [[arn]]
    assert wanted(elsewhere) == [[]], "its networks do not end where the proxy is"

    def noted() -> list[LoadBalancerAddress]:
        return list(site.aws.store.all(LoadBalancerAddress))

    agent.says(loadBalancers={arn: "172.31.9.1", "gone": "172.31.9.2"})
    assert noted() == [LoadBalancerAddress(arn, "172.31.9.1")]
    agent.says(loadBalancers=None)
    elsewhere.says(loadBalancers={})
    assert noted() == [LoadBalancerAddress(arn, "172.31.9.1")], "neither knows anything of it"
    agent.says(loadBalancers={arn: "172.31.9.3"})
    assert noted() == [LoadBalancerAddress(arn, "172.31.9.3")]
    site.aws.elbv2("DeleteLoadBalancer", LoadBalancerArn=arn)
    assert wanted(agent) == [[]]
    agent.says(loadBalancers={})
    assert noted() == []
