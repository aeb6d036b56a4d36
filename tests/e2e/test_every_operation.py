"""Every operation that exists, called by boto3, seen to do what it says, and there after a kill.

An operation that none of the stories here calls with success fails the test: whoever adds one adds its story.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from miniecs_api.dispatch import registry

from .aws_shapes import ALARM, events, register, service, steady, task, tasks
from .conftest import StartServer
from .process import ServerProcess, until

# What can only be refused here: it is counted when it is refused with this error.
REFUSED = {
    ("ecs", "UpdateContainerAgent"): "NoUpdateAvailableException",  # no agent but ours is handed out
    ("ecs", "SubmitAttachmentStateChanges"): "InvalidParameterException",  # no task has an interface yet
}
GROUP = "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:1:autoScalingGroupName/web"
CERTIFICATE = "arn:aws:acm:us-east-1:000000000000:certificate/11111111-1111-1111-1111-11111111111"


class Clients:
    """boto3 clients that note which operations the server has answered."""

    def __init__(self, server: ServerProcess) -> None:
        self.called: set[tuple[str, str]] = set()
        names = ("ecs", "elbv2", "sts", "cloudwatch")
        self.ecs, self.elb, self.sts, self.cloudwatch = clients = [server.client(name) for name in names]
        for client in clients:
            client.meta.events.register("after-call", self._note)

    def _note(self, http_response: Any, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        operation = (model.service_model.service_name, model.name)
        wanted = REFUSED.get(operation)
        error = parsed.get("Error", {}).get("Code")
        if error == wanted and (http_response.status_code == 200) == (wanted is None):
            self.called.add(operation)


def refusal(call: Callable[..., Any], **params: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**params)
    return str(caught.value.response["Error"]["Message"])


# Stories, in this order: each makes and changes, and asserts what came of it.


def clusters(to: Clients) -> None:
    ecs = to.ecs
    ecs.create_capacity_provider(
        name="provider",
        autoScalingGroupProvider={"autoScalingGroupArn": GROUP, "managedScaling": {"status": "ENABLED"}},
    )
    ecs.update_capacity_provider(
        name="provider", autoScalingGroupProvider={"managedScaling": {"targetCapacity": 50}}
    )
    shown = ecs.describe_capacity_providers(capacityProviders=["provider"])["capacityProviders"][0]
    assert shown["autoScalingGroupProvider"]["managedScaling"]["targetCapacity"] == 50
    arn = ecs.create_cluster(clusterName="lab")["cluster"]["clusterArn"]
    assert arn in ecs.list_clusters()["clusterArns"]
    ecs.update_cluster(
        cluster="lab", configuration={"executeCommandConfiguration": {"logging": "NONE"}}
    )
    ecs.update_cluster_settings(
        cluster="lab", settings=[{"name": "containerInsights", "value": "enabled"}]
    )
    ecs.put_cluster_capacity_providers(
        cluster="lab", capacityProviders=["provider"], defaultCapacityProviderStrategy=[]
    )
    included = ["SETTINGS", "CONFIGURATIONS"]
    (cluster,) = ecs.describe_clusters(clusters=["lab"], include=included)["clusters"]
    assert cluster["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    assert cluster["configuration"] == {"executeCommandConfiguration": {"logging": "NONE"}}
    assert cluster["capacityProviders"] == ["provider"]
    ecs.tag_resource(
        resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]
    )
    ecs.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]


def settings(to: Clients) -> None:
    to.ecs.put_account_setting_default(name="containerInsights", value="enabled")
    to.ecs.put_account_setting(name="awsvpcTrunking", value="enabled")
    to.ecs.delete_account_setting(name="awsvpcTrunking")
    shown = {each["name"]: each["value"] for each in to.ecs.list_account_settings()["settings"]}
    assert shown == {"containerInsights": "enabled"}


def task_definitions(to: Clients) -> None:
    ecs = to.ecs
    for image in ("a", "b", "c"):
        register(ecs, "app", image=image)
    assert ecs.describe_task_definition(taskDefinition="app")["taskDefinition"]["revision"] == 3
    assert ecs.deregister_task_definition(taskDefinition="app:1")["taskDefinition"]["status"] == "INACTIVE"
    ecs.deregister_task_definition(taskDefinition="app:2")
    (deleted,) = ecs.delete_task_definitions(taskDefinitions=["app:1"])["taskDefinitions"]
    assert deleted["status"] == "DELETE_IN_PROGRESS"
    active = ecs.list_task_definitions(familyPrefix="app")["taskDefinitionArns"]
    assert [arn.rsplit("/", 1)[1] for arn in active] == ["app:3"]
    assert ecs.list_task_definition_families(familyPrefix="ap")["families"] == ["app"]


def container_instances(to: Clients) -> None:
    """An instance whose agent never connects, by hand."""
    ecs = to.ecs
    instance = ecs.register_container_instance(
        cluster="lab",
        instanceIdentityDocument=json.dumps({"instanceId": "i-0123456789abcdef0"}),
        totalResources=[
            {"name": "CPU", "type": "INTEGER", "integerValue": 1024},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": 1024},
        ],
        versionInfo={"agentVersion": "1.105.1"},
    )["containerInstance"]["containerInstanceArn"]
    assert ecs.list_container_instances(cluster="lab")["containerInstanceArns"] == [instance]
    endpoint = ecs.discover_poll_endpoint(cluster="lab", containerInstance=instance)
    assert endpoint["endpoint"] == to.ecs.meta.endpoint_url + "/acs"
    stack = {"name": "stack", "value": "blue", "targetId": instance}
    ecs.put_attributes(cluster="lab", attributes=[stack, {"name": "old", "targetId": instance}])
    ecs.delete_attributes(cluster="lab", attributes=[{"name": "old", "targetId": instance}])
    found = ecs.list_attributes(cluster="lab", targetType="container-instance", attributeName="stack")
    assert [(each["value"], each["targetId"]) for each in found["attributes"]] == [("blue", instance)]
    assert "old" not in str(ecs.describe_container_instances(cluster="lab", containerInstances=[instance]))
    ecs.update_container_instances_state(
        cluster="lab", containerInstances=[instance], status="DRAINING"
    )
    shown = ecs.describe_container_instances(cluster="lab", containerInstances=[instance])
    assert shown["containerInstances"][0]["status"] == "DRAINING"
    refused = refusal(ecs.update_container_agent, cluster="lab", containerInstance=instance)
    assert refused == "There is no update available for this Amazon ECS container agent."


def tasks_of_agents(to: Clients) -> None:
    """Tasks on the simulated instance, and what an agent tells of them."""
    ecs = to.ecs
    (host,) = ecs.list_container_instances()["containerInstanceArns"]
    container: dict[str, Any] = {"image": "httpd:2.4", "cpu": 64, "memory": 64}
    ecs.register_task_definition(
        family="pair",
        containerDefinitions=[
            {"name": "app", **container},
            {"name": "side", "essential": False, **container},
        ],
    )
    (run,) = ecs.run_task(taskDefinition="pair", startedBy="run")["tasks"]
    (start,) = ecs.start_task(taskDefinition="pair", containerInstances=[host], startedBy="start")["tasks"]
    (stop,) = ecs.run_task(taskDefinition="pair", startedBy="stop")["tasks"]
    arns = [each["taskArn"] for each in (run, start, stop)]
    until("three tasks to run", lambda: {task(ecs, arn)["lastStatus"] for arn in arns} == {"RUNNING"})
    assert ecs.list_tasks(startedBy="start")["taskArns"] == [start["taskArn"]]
    ecs.stop_task(task=stop["taskArn"])
    until("one to stop", lambda: task(ecs, stop["taskArn"])["lastStatus"] == "STOPPED")
    ecs.submit_container_state_change(
        task=run["taskArn"], containerName="side", status="STOPPED", exitCode=5, reason="by hand"
    )
    told = {each["name"]: each for each in task(ecs, run["taskArn"])["containers"]}
    assert (told["side"]["lastStatus"], told["side"]["exitCode"]) == ("STOPPED", 5)
    assert (told["side"]["reason"], told["app"]["lastStatus"]) == ("by hand", "RUNNING")
    ecs.submit_task_state_change(
        task=start["taskArn"],
        status="STOPPED",
        containers=[
            {"containerName": "app", "status": "STOPPED", "exitCode": 7},
            {"containerName": "side", "status": "STOPPED", "exitCode": 0},
        ],
    )
    ended = task(ecs, start["taskArn"])
    assert (ended["lastStatus"], ended["stopCode"]) == ("STOPPED", "EssentialContainerExited")
    assert [each["exitCode"] for each in ended["containers"]] == [7, 0]
    attachment = {"attachmentArn": "arn:aws:ecs:us-east-1:000000000000:attachment/1", "status": "ATTACHED"}
    refused = refusal(ecs.submit_attachment_state_changes, attachments=[attachment])
    assert refused == "The referenced attachment was not found."


def services(to: Clients) -> None:
    ecs = to.ecs
    register(ecs, "web")
    ecs.create_service(serviceName="shop", taskDefinition="web", desiredCount=1)
    until("the service", lambda: steady(ecs, "shop", 1))
    ecs.update_service(service="shop", desiredCount=2)
    said = "(service shop) has reached a steady state."
    until("a second task to be steady", lambda: events(ecs, "shop").count(said) == 2)
    assert [arn.rsplit("/", 1)[1] for arn in ecs.list_services()["serviceArns"]] == ["shop"]
    (kept, _) = ecs.list_tasks(serviceName="shop")["taskArns"]
    ecs.update_task_protection(
        cluster="default", tasks=[kept], protectionEnabled=True, expiresInMinutes=2880
    )
    shown = ecs.get_task_protection(cluster="default", tasks=[kept])["protectedTasks"]
    assert [(each["taskArn"], each["protectionEnabled"]) for each in shown] == [(kept, True)]


def alarms(to: Clients) -> None:
    cloudwatch = to.cloudwatch
    for name in ("slow", "gone"):
        cloudwatch.put_metric_alarm(AlarmName=name, **ALARM, Tags=[{"Key": "a", "Value": "1"}])
    cloudwatch.delete_alarms(AlarmNames=["gone"])
    (alarm,) = cloudwatch.describe_alarms()["MetricAlarms"]
    assert (alarm["AlarmName"], alarm["StateValue"]) == ("slow", "INSUFFICIENT_DATA")
    arn = alarm["AlarmArn"]
    cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "b", "Value": "2"}])
    cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    cloudwatch.set_alarm_state(AlarmName="slow", StateValue="OK", StateReason="fast")
    (alarm,) = cloudwatch.describe_alarms(StateValue="OK")["MetricAlarms"]
    assert alarm["StateReason"] == "fast"


def releases(to: Clients) -> None:
    """One that an alarm ends, one that a user stops: the version that is there stays."""
    ecs = to.ecs

    def released(**params: Any) -> str:
        newer = register(ecs, "web", image="sim/pull-fails")
        updated = ecs.update_service(service="shop", taskDefinition=newer, **params)["service"]
        return str(updated["currentServiceDeployment"])

    def shown(arn: str) -> dict[str, Any]:
        described = ecs.describe_service_deployments(serviceDeploymentArns=[arn])
        found: dict[str, Any] = described["serviceDeployments"][0]
        return found

    alarmed = {"alarms": {"alarmNames": ["slow"], "enable": True, "rollback": True}}
    first = released(deploymentConfiguration=alarmed)
    until("the first to begin", lambda: shown(first)["status"] == "IN_PROGRESS")
    to.cloudwatch.set_alarm_state(AlarmName="slow", StateValue="ALARM", StateReason="slow")
    until("the first to be rolled back", lambda: shown(first)["status"] == "ROLLBACK_SUCCESSFUL")
    assert shown(first)["alarms"]["triggeredAlarmNames"] == ["slow"]
    second = released()
    ecs.stop_service_deployment(serviceDeploymentArn=second)
    until("the second to be rolled back", lambda: shown(second)["status"] == "ROLLBACK_SUCCESSFUL")
    assert refusal(ecs.stop_service_deployment, serviceDeploymentArn=second).endswith(
        "cannot be stopped because it is in the ROLLBACK_SUCCESSFUL state."
    )
    listed = ecs.list_service_deployments(service="shop")["serviceDeployments"]
    assert [each["status"] for each in listed] == ["ROLLBACK_SUCCESSFUL", "ROLLBACK_SUCCESSFUL", "SUCCESSFUL"]
    rolled_back = shown(second)["rollback"]["serviceRevisionArn"]
    described = ecs.describe_service_revisions(serviceRevisionArns=[rolled_back])
    (revision,) = described["serviceRevisions"]
    assert revision["taskDefinition"] == service(ecs, "shop")["taskDefinition"]
    assert [each["arn"] for each in service(ecs, "shop")["currentServiceRevisions"]] == [rolled_back]
    until("the service", lambda: steady(ecs, "shop", 2))


def task_sets(to: Clients) -> None:
    """A swap: the second task set takes over from the first, which is deleted."""
    ecs = to.ecs
    external, half = {"type": "EXTERNAL"}, {"value": 50.0, "unit": "PERCENT"}
    ecs.create_service(serviceName="swap", desiredCount=2, deploymentController=external)
    named = {"cluster": "default", "service": "swap"}
    blue, green = (
        ecs.create_task_set(**named, taskDefinition="web", scale=half, externalId=color)["taskSet"]["id"]
        for color in ("blue", "green")
    )

    def steady_counts() -> dict[str, int]:
        found = ecs.describe_task_sets(**named)["taskSets"]
        return {
            each["externalId"]: each["runningCount"]
            for each in found
            if each["stabilityStatus"] == "STEADY_STATE"
        }

    until("two task sets of one task", lambda: steady_counts() == {"blue": 1, "green": 1})
    ecs.update_service_primary_task_set(**named, primaryTaskSet=blue)
    ecs.update_service_primary_task_set(**named, primaryTaskSet=green)
    ecs.update_task_set(**named, taskSet=green, scale={"value": 100.0, "unit": "PERCENT"})
    ecs.delete_task_set(**named, taskSet=blue, force=True)
    until("green alone", lambda: steady_counts() == {"green": 2})

    def left() -> list[tuple[str, str]]:
        return [(each["id"], each["status"]) for each in service(ecs, "swap")["taskSets"]]

    until("blue to be gone", lambda: left() == [(green, "PRIMARY")])
    said = "(service swap) has reached a steady state."
    until("the service to be steady", lambda: events(ecs, "swap")[-1] == said)


def load_balancers(to: Clients) -> None:
    elb = to.elb
    made = elb.create_load_balancer(Name="web", Subnets=["subnet-a", "subnet-b"])["LoadBalancers"][0]
    balancer = made["LoadBalancerArn"]
    elb.set_subnets(LoadBalancerArn=balancer, Subnets=["subnet-a", "subnet-c"])
    elb.set_security_groups(LoadBalancerArn=balancer, SecurityGroups=["sg-1"])
    elb.set_ip_address_type(LoadBalancerArn=balancer, IpAddressType="dualstack")
    (shown,) = elb.describe_load_balancers(Names=["web"])["LoadBalancers"]
    assert [zone["SubnetId"] for zone in shown["AvailabilityZones"]] == ["subnet-a", "subnet-c"]
    assert (shown["SecurityGroups"], shown["IpAddressType"]) == (["sg-1"], "dualstack")
    idle = {"Key": "idle_timeout.timeout_seconds", "Value": "30"}
    elb.modify_load_balancer_attributes(LoadBalancerArn=balancer, Attributes=[idle])
    assert idle in elb.describe_load_balancer_attributes(LoadBalancerArn=balancer)["Attributes"]
    elb.add_tags(ResourceArns=[balancer], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    elb.remove_tags(ResourceArns=[balancer], TagKeys=["a"])
    (tags,) = elb.describe_tags(ResourceArns=[balancer])["TagDescriptions"]
    assert tags["Tags"] == [{"Key": "b", "Value": "2"}]
    assert elb.describe_account_limits()["Limits"]
    assert elb.describe_ssl_policies()["SslPolicies"]


def target_groups(to: Clients) -> None:
    elb = to.elb
    group = elb.create_target_group(Name="blue", Protocol="HTTP", Port=80, VpcId="vpc-1", TargetType="ip")
    arn = group["TargetGroups"][0]["TargetGroupArn"]
    elb.modify_target_group(TargetGroupArn=arn, HealthCheckPath="/up")
    (shown,) = elb.describe_target_groups(Names=["blue"])["TargetGroups"]
    assert shown["HealthCheckPath"] == "/up"
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "0"}
    elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])
    assert delay in elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.0.1"}, {"Id": "10.0.0.2"}])
    elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.0.1"}])

    def left() -> list[str]:
        described = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return [each["Target"]["Id"] for each in described]

    until("one target", lambda: left() == ["10.0.0.2"])


def listeners(to: Clients) -> None:
    elb = to.elb
    balancer = elb.describe_load_balancers(Names=["web"])["LoadBalancers"][0]["LoadBalancerArn"]
    group = elb.describe_target_groups(Names=["blue"])["TargetGroups"][0]["TargetGroupArn"]
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    first, second = ({"CertificateArn": CERTIFICATE + digit} for digit in "12")
    listener = elb.create_listener(
        LoadBalancerArn=balancer, Protocol="HTTPS", Port=443, Certificates=[first], DefaultActions=forward
    )["Listeners"][0]["ListenerArn"]
    elb.add_listener_certificates(ListenerArn=listener, Certificates=[second])
    shown = elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]
    assert [each["IsDefault"] for each in shown] == [True, False]
    elb.remove_listener_certificates(ListenerArn=listener, Certificates=[second])
    assert len(elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]) == 1
    server = {"Key": "routing.http.response.server.enabled", "Value": "false"}
    elb.modify_listener_attributes(ListenerArn=listener, Attributes=[server])
    assert server in elb.describe_listener_attributes(ListenerArn=listener)["Attributes"]
    elb.modify_listener(ListenerArn=listener, Port=8443)
    assert elb.describe_listeners(ListenerArns=[listener])["Listeners"][0]["Port"] == 8443
    rule = elb.create_rule(
        ListenerArn=listener,
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/img/*"]}],
        Actions=forward,
    )["Rules"][0]["RuleArn"]
    elb.set_rule_priorities(RulePriorities=[{"RuleArn": rule, "Priority": 5}])
    elb.modify_rule(RuleArn=rule, Conditions=[{"Field": "path-pattern", "Values": ["/new/*"]}])
    shown = elb.describe_rules(ListenerArn=listener)["Rules"]
    assert [each["Priority"] for each in shown] == ["5", "default"]
    assert shown[0]["Conditions"][0]["Values"] == ["/new/*"]


def identity(to: Clients) -> None:
    assert to.sts.get_caller_identity()["Account"] == "000000000000"


def end_of_ecs(to: Clients) -> None:
    ecs = to.ecs
    ecs.delete_service(service="swap", force=True)
    ecs.delete_service(service="shop", force=True)
    until("the service's end", lambda: service(ecs, "shop")["status"] == "INACTIVE")
    until("the other's end", lambda: service(ecs, "swap")["status"] == "INACTIVE")
    until("their tasks' end", lambda: {t["lastStatus"] for t in tasks(ecs, status="STOPPED")} == {"STOPPED"})
    (instance,) = ecs.list_container_instances(cluster="lab")["containerInstanceArns"]
    ecs.deregister_container_instance(cluster="lab", containerInstance=instance)
    ecs.put_cluster_capacity_providers(
        cluster="lab", capacityProviders=[], defaultCapacityProviderStrategy=[]
    )
    assert ecs.delete_cluster(cluster="lab")["cluster"]["status"] == "INACTIVE"
    ecs.delete_capacity_provider(capacityProvider="provider")
    assert len(ecs.list_clusters()["clusterArns"]) == 1


def end_of_load_balancing(to: Clients) -> None:
    elb = to.elb
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    (listener,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    rule, _ = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    elb.delete_rule(RuleArn=rule["RuleArn"])
    assert len(elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]) == 1
    elb.delete_listener(ListenerArn=listener["ListenerArn"])
    assert elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"] == []
    elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    (group,) = elb.describe_target_groups()["TargetGroups"]
    elb.delete_target_group(TargetGroupArn=group["TargetGroupArn"])
    assert (elb.describe_load_balancers()["LoadBalancers"], elb.describe_target_groups()["TargetGroups"]) == (
        [],
        [],
    )


MAKING: tuple[Callable[[Clients], None], ...] = (
    clusters,
    settings,
    task_definitions,
    container_instances,
    tasks_of_agents,
    services,
    task_sets,
    alarms,
    releases,
    load_balancers,
    target_groups,
    listeners,
    identity,
)
ENDING = (end_of_ecs, end_of_load_balancing)


def picture(to: Clients) -> list[Any]:
    """All that can be asked for, but what probes and reconnecting agents change."""
    ecs, elb = to.ecs, to.elb
    everything = ["SETTINGS", "CONFIGURATIONS", "TAGS", "STATISTICS"]
    shown: list[Any] = [
        ecs.describe_clusters(clusters=["lab", "default"], include=everything)["clusters"],
        ecs.describe_capacity_providers(include=["TAGS"])["capacityProviders"],
        ecs.list_account_settings()["settings"],
        ecs.describe_services(services=["shop", "swap"], include=["TAGS"])["services"],
        _protected(ecs),
        _released(ecs),
        to.cloudwatch.describe_alarms()["MetricAlarms"],
    ]
    balancers = elb.describe_load_balancers()["LoadBalancers"]
    groups = elb.describe_target_groups()["TargetGroups"]
    shown += [balancers, groups]
    for status in ("ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"):
        arns = ecs.list_task_definitions(status=status)["taskDefinitionArns"]
        shown.append([ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"] for arn in arns])
    for status in ("RUNNING", "STOPPED"):
        arns = ecs.list_tasks(desiredStatus=status)["taskArns"]
        found = ecs.describe_tasks(tasks=arns, include=["TAGS"])["tasks"] if arns else []
        shown.append(sorted(found, key=lambda each: str(each["taskArn"])))
    if "ACTIVE" in [each["status"] for each in shown[0] if each["clusterName"] == "lab"]:
        attributes = ecs.list_attributes(cluster="lab", targetType="container-instance")["attributes"]
        shown.append(sorted(str(each) for each in attributes))
    for balancer in balancers:
        arn = balancer["LoadBalancerArn"]
        shown.append(elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"])
        shown.append(elb.describe_tags(ResourceArns=[arn])["TagDescriptions"])
        for listener in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]:
            shown.append(listener)
            shown.append(elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"])
    for group in groups:
        arn = group["TargetGroupArn"]
        shown.append(elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"])
        health = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        shown.append([each["Target"] for each in health])
    return shown


def _released(ecs: Any) -> list[Any]:
    arns = [
        each["serviceDeploymentArn"]
        for each in ecs.list_service_deployments(service="shop")["serviceDeployments"]
    ]
    if not arns:
        return []
    found = ecs.describe_service_deployments(serviceDeploymentArns=arns)["serviceDeployments"]
    revisions = {each["targetServiceRevision"]["arn"] for each in found}
    described = ecs.describe_service_revisions(serviceRevisionArns=sorted(revisions))
    assert described["failures"] == []
    return [*found, *described["serviceRevisions"]]


def _protected(ecs: Any) -> list[Any]:
    arns = ecs.list_tasks(serviceName="shop")["taskArns"]
    if not arns:
        return []
    protected: list[Any] = ecs.get_task_protection(cluster="default", tasks=arns)["protectedTasks"]
    return protected


def test_every_operation(start_server: StartServer) -> None:
    server = start_server(time_scale=20.0, instances=1)
    to = Clients(server)
    for stories in (MAKING, ENDING):
        for story in stories:
            story(to)
        before = picture(to)
        server.restart()
        assert picture(to) == before
    there = set(registry())
    assert sorted(there - to.called) == [], "no story calls these with success"
    assert REFUSED.keys() <= there
    assert "Traceback" not in server.log
