"""The pages of load balancers and deployments, and what the other pages say of load balancers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from miniecs.model import arns
from miniecs.model.data_plane import Hello, Places, Told, write
from miniecs.model.event import Event, EventKind
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target
from miniecs.model.routing import ListenerPlace, Tally, Traffic
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs_api.data_plane import ProxyLink
from miniecs_api.pages import rule_words

from .conftest import Site

PLACES = ("127.0.2.1:8080", "172.31.100.1:80")


@dataclass
class Now:
    """Timers on which everything that is due soon happens when the test says so."""

    clock: Any
    due: list[Callable[[], None]] = field(default_factory=list)

    def now(self) -> float:
        return float(self.clock.now())

    def call_at(self, when: float, fn: Callable[[], None]) -> None:
        self.due.append(fn)


@dataclass
class Balanced:
    """A service `web` of one task behind load balancer `edge`, and a proxy that says what it is given."""

    site: Site
    group: str
    listener: str
    task: Task
    target: Target
    link: ProxyLink

    def says(self, *told: Told) -> None:
        for each in told:
            self.link.receive(write(each))

    def put(self, *things: Any) -> None:
        with self.site.server.store.transaction() as tx:
            for thing in things:
                tx.put(thing)


@pytest.fixture
def balanced(site: Site) -> Balanced:
    aws = site.aws
    balancer = aws.elbv2("CreateLoadBalancer", Name="edge", Subnets=["subnet-0a1", "subnet-0b2"])
    balancer_arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    group = aws.elbv2(
        "CreateTargetGroup", Name="pages", Protocol="HTTP", Port=80, VpcId="vpc-1", HealthCheckPath="/healthz"
    )["TargetGroups"][0]["TargetGroupArn"]
    listener = aws.elbv2(
        "CreateListener",
        LoadBalancerArn=balancer_arn,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )["Listeners"][0]["ListenerArn"]
    service = aws.ecs(
        "CreateService",
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        loadBalancers=[{"targetGroupArn": group, "containerName": "app", "containerPort": 80}],
    )["service"]
    started = aws.clock.time
    task = site.run_task(
        last_status="RUNNING",
        started_at=started,
        service_arn=service["serviceArn"],
        deployment_id=service["deployments"][0]["id"],
    )
    instance = site.server.store.get(ContainerInstance, site.instance)
    assert instance is not None
    assert instance.ec2_instance_id is not None
    target = Target(
        group, instance.ec2_instance_id, 32768, "healthy", availability_zone="us-east-1a", task_arn=task.arn
    )
    site.server.data_plane.start(Now(aws.clock))
    link = ProxyLink(site.server.data_plane, lambda text: None, lambda reason: None)
    made = Balanced(site, group, listener, task, target, link)
    made.put(target)
    return made


def test_a_load_balancer_whole(balanced: Balanced) -> None:
    site, target = balanced.site, balanced.target
    key = target.key
    balanced.says(
        Hello("0123456789ab", 7),
        Places((ListenerPlace(balanced.listener, 80, PLACES, "127.0.0.1:8080", "port 80: no"),)),
        Traffic(1.0, {}, {}, {key: Tally(30, {"target_2xx": 26, "target_5xx": 4}, {40: 30}, 1, active=2)}),
    )
    shown = site.get("load-balancers", name="edge")
    (balancer,) = shown["loadBalancers"]
    assert (shown["proxy"], shown["runtime"], shown["timeScale"]) == (True, "simulated", 2.0)
    (listener,) = balancer["listeners"]
    assert listener["urls"] == ["http://127.0.2.1:8080/", f"http://{balancer['dnsName']}:8080/"]
    assert listener["containerUrls"] == ["http://172.31.100.1/"]
    assert listener["problem"] == "port 80: no"
    assert [(r["priority"], r["when"], r["then"]) for r in listener["rules"]] == [
        ("default", "", "forward to pages")
    ]
    (group,) = balancer["targetGroups"]
    assert (group["name"], group["failsOpen"]) == ("pages", False)
    assert group["healthCheck"]["text"] == "GET /healthz"
    assert group["targets"] == [
        {
            "id": target.id,
            "port": 32768,
            "zone": "us-east-1a",
            "state": "healthy",
            "reason": None,
            "description": None,
            "why": "",
            "receives": True,
            "task": arns.name_of(balanced.task.arn),
            "definition": "web:1",
            "drainsForSeconds": None,
            "traffic": {
                "requestsPerSecond": 3.0,
                "errors": 4,
                "codes": {"target_2xx": 26, "target_5xx": 4},
                "connectionErrors": 1,
                "active": 2,
                "medianSeconds": 0.00256,
                "p99Seconds": 0.00256,
                "overSeconds": 10.0,
            },
        }
    ]
    draining = replace(target, port=32769, state="draining", draining_until=site.aws.clock.time + 7.5)
    sick = replace(
        target, state="unhealthy", failures=2, reason="Target.Timeout", description="Request timed out"
    )
    balanced.put(draining, sick)
    (group,) = site.get("load-balancers")["loadBalancers"][0]["targetGroups"]
    assert group["failsOpen"] is True
    told = [(t["port"], t["receives"], t["why"], t["drainsForSeconds"]) for t in group["targets"]]
    assert told == [
        (32768, True, "no answer in time to GET /healthz, 2 checks in a row failed", None),
        (32769, False, "drains for 8 s more", 7.5),
    ]


def test_usual_ports_are_left_out_of_urls_and_a_lost_proxy_is_told(balanced: Balanced) -> None:
    places = (ListenerPlace(balanced.listener, 80, ("127.0.2.1:80",), "127.0.0.1:80"),)
    balanced.says(Hello("0123456789ab", 7), Places(places))
    balanced.link.closed()
    shown = balanced.site.get("load-balancers")
    (balancer,) = shown["loadBalancers"]
    assert shown["proxy"] is False
    assert balancer["listeners"][0]["urls"] == ["http://127.0.2.1/", f"http://{balancer['dnsName']}/"]


def test_status_and_tasks_tell_where_load_balancers_are(balanced: Balanced) -> None:
    target = balanced.target
    balanced.put(replace(target, port=1, state="draining"), replace(target, port=2, state="initial"))
    places = (ListenerPlace(balanced.listener, 80, ("127.0.2.1:80",), "", "port 80: taken"),)
    balanced.says(Hello("0123456789ab", 7), Places(places))
    site = balanced.site
    (told,) = site.get("status")["loadBalancers"]
    assert told.pop("dnsName").endswith(".us-east-1.elb.localhost")
    assert "loadbalancer/app/edge/" in told.pop("arn")
    assert told == {
        "name": "edge",
        "account": "000000000000",
        "region": "us-east-1",
        "urls": ["http://127.0.2.1/"],
        "problems": ["port 80: taken"],
        "services": ["web"],
        "targets": {"registered": 2, "healthy": 1},
    }
    assert site.get("status")["proxy"] is True
    assert site.get("tasks")["loadBalancers"] == site.get("status")["loadBalancers"]


def test_names_of_load_balancers(balanced: Balanced) -> None:
    site = balanced.site
    assert site.refused("GET", "load-balancers", params={"name": "nonesuch"}) == (
        404,
        "There is no load balancer 'nonesuch'; there are: edge.",
    )
    (balancer,) = site.get("load-balancers")["loadBalancers"]
    for name in (balancer["arn"], balancer["dnsName"]):
        assert site.get("load-balancers", name=name)["loadBalancers"][0]["arn"] == balancer["arn"]
        assert site.get("explain", name=name)["kind"] == "load balancer"


def test_explain_a_load_balancer_and_a_target_group(balanced: Balanced) -> None:
    site = balanced.site
    explained = site.get("explain", name="edge")
    assert (explained["kind"], explained["lines"][1]) == (
        "load balancer",
        "Load balancer edge sends requests to 1 of 1 target in target group pages.",
    )
    places = (ListenerPlace(balanced.listener, 80, PLACES, "", "port 80: taken"),)
    balanced.says(Hello("0123456789ab", 7), Places(places))
    assert site.get("explain", name="edge")["lines"][1:3] == [
        "Listener HTTP:80 is reached at http://127.0.2.1:8080/.",
        "Listener HTTP:80 is not at its port: port 80: taken.",
    ]
    group = site.get("explain", name="pages")
    assert (group["kind"], group["arn"]) == ("target group", balanced.group)
    assert group["lines"] == explained["lines"][1:]
    # A service and a target group of one name: the service is meant, the group has its ARN.
    site.aws.elbv2("CreateTargetGroup", Name="web", Protocol="HTTP", Port=80, VpcId="vpc-1")
    assert site.get("explain", name="web")["kind"] == "service"
    assert site.get("explain", name="web")["lines"][1] == explained["lines"][1]


def test_explain_says_when_no_target_is_checked(balanced: Balanced) -> None:
    site = balanced.site
    site.server.settings = replace(site.server.settings, runtime="docker")
    away = "The proxy is not connected: until it is back, no target is checked."
    for name in ("edge", "pages", "web"):
        assert away in site.get("explain", name=name)["lines"]
    assert away not in site.get("explain", name=balanced.task.arn)["lines"]
    balanced.says(Hello("0123456789ab", 7))
    assert away not in site.get("explain", name="web")["lines"]


def test_deployments_count_and_explain_each(balanced: Balanced) -> None:
    site = balanced.site
    site.aws.clock.time += 10
    site.aws.register_task_definition("web", portMappings=[{"containerPort": 80}])
    site.aws.ecs("UpdateService", service="web", taskDefinition="web:2")
    site.aws.clock.time += 5
    service = site.server.store.get(Service, arns.service(site.server.scope, "default", "web"))
    assert service is not None
    with site.server.store.transaction() as tx:
        for at, text in ((1.0, "was deleted"), (site.aws.clock.time, "is tired")):
            tx.emit(Event(EventKind.SERVICE_MESSAGE, service.arn, at, message=f"(service web) {text}."))
    new, old = site.get("deployments", service="web")["deployments"]
    assert (new["status"], new["definition"], new["rolloutState"], new["ageSeconds"]) == (
        "PRIMARY",
        "web:2",
        "IN_PROGRESS",
        5.0,
    )
    states = ("starting", "settling", "healthy", "unhealthy", "leaving", "draining", "stopping")
    none = dict.fromkeys(states, 0)
    assert (new["tasks"], new["desired"], new["waits"]) == (none, 1, [])
    assert old["tasks"] == none | {"healthy": 1}
    assert old["waits"] == ["Its task stops as new ones become healthy: 1 is healthy in all, 1 wanted."]
    assert (old["status"], old["ageSeconds"]) == ("ACTIVE", 15.0)

    starting = site.run_task(service_arn=service.arn, deployment_id=new["id"])
    stopped = {"desired_status": "STOPPED", "service_arn": service.arn, "last_status": "DEACTIVATING"}
    site.change(balanced.task.arn, **stopped)
    gone = site.run_task(**stopped | {"last_status": "STOPPING", "deployment_id": "ecs-svc/gone"})
    balanced.put(replace(balanced.target, state="draining", draining_until=site.aws.clock.time + 12))
    page = site.get("deployments", service="web", cluster="default")
    new, old = page["deployments"]
    short = arns.name_of(starting.arn)[:8]
    assert new["tasks"] == none | {"starting": 1}
    assert new["waits"] == [f"Task {short}: it waits for its agent to report that all containers run."]
    assert old["tasks"] == none | {"draining": 1}
    assert old["waits"] == [f"Task {arns.name_of(balanced.task.arn)[:8]} drains for 12 s more."]
    assert page["others"] == {
        "stopping": 1,
        "waits": [
            f"Task {arns.name_of(gone.arn)[:8]} has been stopping: its agent has yet to report that the"
            " containers have stopped."
        ],
    }
    assert (page["service"], page["cluster"], page["status"], page["outcome"], page["desired"]) == (
        "web",
        "default",
        "ACTIVE",
        "IN_PROGRESS",
        1,
    )
    assert page["loadBalancing"] == [
        "Load balancer edge answers 503 to requests for target group pages, which has only draining targets."
    ]
    assert [event["text"] for event in page["events"]] == ["(service web) is tired."], "not its forerunner's"
    shown = site.aws.ecs("DescribeServices", services=["web"])["services"][0]["events"]
    assert [event["message"] for event in shown] == ["(service web) is tired."]


def test_the_outcome_is_that_of_the_newest_deployment(balanced: Balanced) -> None:
    store = balanced.site.server.store
    service = store.get(Service, arns.service(balanced.site.server.scope, "default", "web"))
    assert service is not None
    first = service.primary

    def outcome(*deployments: tuple[str, float], steady: bool = False) -> str:
        made = tuple(
            replace(first, id=f"ecs-svc/{n}", rollout_state=state, created_at=at)
            for n, (state, at) in enumerate(deployments)
        )
        balanced.put(replace(service, deployments=made, steady=steady))
        return str(balanced.site.get("deployments", service="web")["outcome"])

    assert outcome(("COMPLETED", 1), steady=True) == "STEADY"
    assert outcome(("FAILED", 1)) == "FAILED"
    assert outcome(("IN_PROGRESS", 1), ("FAILED", 2)) == "FAILED", "rolled back to an older one"
    assert outcome(("IN_PROGRESS", 3), ("FAILED", 2)) == "IN_PROGRESS", "an update after one that failed"


def test_deployments_of_what_is_no_service(balanced: Balanced) -> None:
    assert balanced.site.refused("GET", "deployments") == (400, "service: Field required.")
    status, message = balanced.site.refused("GET", "deployments", params={"service": "edge"})
    assert (status, message[:28]) == (404, "There is no service 'edge'. ")


GROUPS = {name: f"arn:aws:elasticloadbalancing:r:1:targetgroup/{name}/1" for name in ("web", "api")}


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ({"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a/*", "/b"]}}, "path is /a/* or /b"),
        ({"Field": "host-header", "HostHeaderConfig": {"RegexValues": ["^a"]}}, "host is ~^a"),
        (
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": ["b*"]}},
            "header X-A is b*",
        ),
        ({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET"]}}, "method is GET"),
        ({"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}, "source is 10.0.0.0/8"),
        (
            {
                "Field": "query-string",
                "QueryStringConfig": {"Values": [{"Key": "a", "Value": "1"}, {"Value": "b"}]},
            },
            "query has a=1 or b",
        ),
    ],
)
def test_conditions_in_words(condition: dict[str, Any], told: str) -> None:
    assert rule_words.when([condition]) == told
    assert rule_words.when([condition, condition]) == f"{told}, {told}"


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (
            {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUPS["web"]}]}},
            "forward to web",
        ),
        (
            {
                "Type": "forward",
                "ForwardConfig": {
                    "TargetGroups": [
                        {"TargetGroupArn": GROUPS["web"], "Weight": 2},
                        {"TargetGroupArn": GROUPS["api"], "Weight": 1},
                    ],
                    "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60},
                },
            },
            "forward to web (66.7 %) and api (33.3 %), clients stay for 60 s",
        ),
        (
            {
                "Type": "redirect",
                "RedirectConfig": {"StatusCode": "HTTP_302", "Protocol": "HTTPS", "Query": "a"},
            },
            "redirect (302) to https://#{host}:#{port}/#{path}?a",
        ),
        ({"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}, "answer 404"),
        (
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "a\nb"}},
            'answer 200 "a…"',
        ),
    ],
)
def test_actions_in_words(action: dict[str, Any], told: str) -> None:
    assert rule_words.then([action]) == told
