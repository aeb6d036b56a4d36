"""What RegisterTaskDefinition refuses: each rule once, with the whole message."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.api.ecs.conftest import Ecs

TROUBLESHOOTING = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
ROLE = "arn:aws:iam::000000000000:role/ecsTaskExecutionRole"
AWSLOGS = {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-region": "us-east-1"}}
SECRET = {"name": "KEY", "valueFrom": "arn:aws:ssm:us-east-1:000000000000:parameter/key"}


def app(**members: Any) -> dict[str, Any]:
    """A container that is right by itself; a member given as None is left out."""
    container = {"name": "app", "image": "nginx", "memory": 64, **members}
    return {name: value for name, value in container.items() if value is not None}


def task(*containers: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"family": "web", "containerDefinitions": list(containers or (app(),)), **members}


def port(container_port: int | None = 80, **members: Any) -> dict[str, Any]:
    return {"containerPort": container_port, **members} if container_port is not None else members


def fargate(*containers: dict[str, Any], **members: Any) -> dict[str, Any]:
    given = {
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        **members,
    }
    given = {name: value for name, value in given.items() if value is not None}
    return task(*(containers or (app(memory=None),)), **given)


def setting(why: str, name: str = "app") -> str:
    return f"Invalid setting for container '{name}'. {why}"


def health(**members: Any) -> dict[str, Any]:
    return app(healthCheck={"command": ["CMD", "true"], **members})


def efs(**members: Any) -> dict[str, Any]:
    return task(volumes=[{"name": "data", "efsVolumeConfiguration": {"fileSystemId": "fs-1", **members}}])


CONTAINERS = {
    "no containers": (
        {"family": "web", "containerDefinitions": []},
        "Container list cannot be empty.",
    ),
    "eleven": (task(*(app(name=f"c{n}") for n in range(11))), "Too many containers."),
    "no family": ({**task(), "family": ""}, "Family should not be null or empty."),
    "family": ({**task(), "family": "a b"}, "Family contains invalid characters"),
    "long family": ({**task(), "family": "a" * 256}, "Family contains invalid characters"),
    "no image": (task(app(image=None)), "Container.image should not be null or empty."),
    "empty image": (task(app(image="")), "Container.image should not be null or empty."),
    "no name": (task(app(name=None)), "Container.name should not be null or empty."),
    "name": (task(app(name="a.b")), "Container.name contains invalid characters"),
    "image": (task(app(image="ngi nx")), "Container.image contains invalid characters"),
    "digest": (task(app(image="nginx@sha256:12")), "Container.image contains invalid characters"),
    "long image": (task(app(image="n" * 256)), "Container.image contains invalid characters"),
    "no memory": (
        task(app(memory=None)),
        setting("At least one of 'memory' or 'memoryReservation' must be specified."),
    ),
    "little memory": (task(app(memory=5)), "Invalid 'memory' setting for container 'app'."),
    "little reservation": (
        task(app(memoryReservation=5)),
        "Invalid 'memoryReservation' setting for container 'app'.",
    ),
    "memory and reservation": (
        task(app(memory=64, memoryReservation=64)),
        setting("'memory' must be greater than 'memoryReservation' when both are specified."),
    ),
    "cpu": (task(app(cpu=-1)), "Invalid 'cpu' setting for container 'app'."),
    "much cpu": (task(app(cpu=262_145)), "Invalid 'cpu' setting for container 'app'."),
    "same name": (
        task(app(), app()),
        "Duplicate container name 'app'. Container names must be unique.",
    ),
    "none essential": (
        task(app(essential=False)),
        "The task definition doesn't have any essential container.",
    ),
    "start timeout": (task(app(startTimeout=-1)), "Invalid 'startTimeout' setting for container 'app'."),
    "stop timeout": (task(app(stopTimeout=-1)), "Invalid 'stopTimeout' setting for container 'app'."),
    "ulimit": (
        task(app(ulimits=[{"name": "nofile", "softLimit": 20, "hardLimit": 10}])),
        setting("The soft limit of ulimit 'nofile' must not be above its hard limit."),
    ),
    "unlimited ulimit": (
        task(app(ulimits=[{"name": "core", "softLimit": -1, "hardLimit": 10}])),
        setting("The soft limit of ulimit 'core' must not be above its hard limit."),
    ),
    "credential specs": (
        task(app(credentialSpecs=["credentialspec:arn:a", "credentialspec:arn:b"])),
        setting("At most one credential spec can be specified."),
    ),
}

NETWORK = {
    "no container port": (
        task(app(portMappings=[port(None)])),
        "Invalid 'containerPort' setting for container 'app'.",
    ),
    "container port 0": (
        task(app(portMappings=[port(0)])),
        "Invalid 'containerPort' setting for container 'app'.",
    ),
    "container port": (
        task(app(portMappings=[port(65_536)])),
        "Invalid 'containerPort' setting for container 'app'.",
    ),
    "host port": (
        task(app(portMappings=[port(80, hostPort=65_536)])),
        "Invalid 'hostPort' setting for container 'app'.",
    ),
    "host port twice": (
        task(
            app(portMappings=[port(80, hostPort=3000)]),
            app(name="b", portMappings=[port(81, hostPort=3000)]),
        ),
        "TCP host port '3000' is mapped multiple times in task.",
    ),
    "udp host port twice": (
        task(app(portMappings=[port(n, hostPort=53, protocol="udp") for n in (80, 81)])),
        "UDP host port '53' is mapped multiple times in task.",
    ),
    "awsvpc container port twice": (
        task(app(portMappings=[port(80)]), app(name="b", portMappings=[port(80)]), networkMode="awsvpc"),
        "TCP host port '80' is mapped multiple times in task.",
    ),
    "awsvpc mismatch": (
        task(app(portMappings=[port(80, hostPort=8080)]), networkMode="awsvpc"),
        "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
    ),
    "host mismatch": (
        task(app(portMappings=[port(80, hostPort=8080)]), networkMode="host"),
        "When networkMode=host, the host ports and container ports in port mappings must match.",
    ),
    "ports in none": (
        task(app(portMappings=[port()]), networkMode="none"),
        "Port mappings are not supported when networkMode=none.",
    ),
    "links in awsvpc": (
        task(app(), app(name="b", links=["app"]), networkMode="awsvpc"),
        "Links are not supported when networkMode=awsvpc.",
    ),
    "links in host": (
        task(app(), app(name="b", links=["app"]), networkMode="host"),
        "Links are not supported when networkMode=host.",
    ),
    "hostname": (
        task(app(hostname="web"), networkMode="awsvpc"),
        "Hostname is not supported when networkMode=awsvpc.",
    ),
    "extra hosts": (
        task(app(extraHosts=[{"hostname": "a", "ipAddress": "10.0.0.1"}]), networkMode="awsvpc"),
        "ExtraHosts is not supported when networkMode=awsvpc.",
    ),
    "dns servers": (
        task(app(dnsServers=["10.0.0.2"]), networkMode="awsvpc"),
        "DnsServers is not supported when networkMode=awsvpc.",
    ),
    "port name": (
        task(app(portMappings=[port(80, name="-http")])),
        setting(
            "The name of a port mapping can have up to 64 lowercase letters, numbers, underscores (_), and "
            "hyphens (-), and can't start with a hyphen."
        ),
    ),
    "port name twice": (
        task(app(portMappings=[port(80, name="http"), port(81, name="http")])),
        "Port mapping name 'http' is used multiple times in task. Port mapping names must be unique.",
    ),
    "app protocol": (
        task(app(portMappings=[port(80, protocol="udp", appProtocol="http")])),
        setting("'appProtocol' is not supported for port mappings with protocol udp."),
    ),
    "range and port": (
        task(app(portMappings=[port(80, containerPortRange="80-90")])),
        setting("'containerPort' and 'hostPort' can't be specified with 'containerPortRange'."),
    ),
    "range in host": (
        task(app(portMappings=[port(None, containerPortRange="80-90")]), networkMode="host"),
        setting("'containerPortRange' requires networkMode bridge or awsvpc."),
    ),
    "range": (
        task(app(portMappings=[port(None, containerPortRange="80")])),
        "Invalid 'containerPortRange' setting for container 'app'.",
    ),
    "backward range": (
        task(app(portMappings=[port(None, containerPortRange="90-80")])),
        "Invalid 'containerPortRange' setting for container 'app'.",
    ),
    "long range": (
        task(app(portMappings=[port(None, containerPortRange="100-200")])),
        setting("'containerPortRange' can have at most 100 ports."),
    ),
    "proxy's container": (
        task(networkMode="awsvpc", proxyConfiguration={"containerName": "envoy"}),
        "Unknown container 'envoy' in 'proxyConfiguration'.",
    ),
    "proxy's network": (
        task(proxyConfiguration={"containerName": "app"}),
        "proxyConfiguration requires networkMode=awsvpc.",
    ),
    "fault injection": (
        task(enableFaultInjection=True),
        "enableFaultInjection requires networkMode=awsvpc or networkMode=host.",
    ),
}

RUNNING = {
    "environment": (
        task(app(environment=[{"value": "x"}])),
        setting("The name of an environment variable must not be null or empty."),
    ),
    "secret's name": (
        task(app(secrets=[{**SECRET, "name": ""}]), executionRoleArn=ROLE),
        setting("The name of a secret must not be null or empty."),
    ),
    "secret's place": (
        task(app(secrets=[{"name": "KEY", "valueFrom": "arn:aws:s3:::b/k"}]), executionRoleArn=ROLE),
        setting(
            "The valueFrom of secret 'KEY' must be a parameter of Systems Manager or a secret of Secrets "
            "Manager."
        ),
    ),
    "secret like variable": (
        task(app(environment=[{"name": "KEY", "value": "x"}], secrets=[SECRET]), executionRoleArn=ROLE),
        "The secret name must be unique and not shared with any new or existing environment variables set on "
        "the container, such as 'KEY'.",
    ),
    "secret without role": (
        task(app(secrets=[SECRET])),
        "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
    ),
    "log secret without role": (
        task(app(logConfiguration={"logDriver": "splunk", "secretOptions": [SECRET]})),
        "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
    ),
    "file without role": (
        task(app(environmentFiles=[{"value": "arn:aws:s3:::b/a.env", "type": "s3"}])),
        "When you are specifying environment files, you must also specify a value for 'executionRoleArn'.",
    ),
    "registry without role": (
        task(app(repositoryCredentials={"credentialsParameter": "secret"})),
        "When you are specifying repository credentials, you must also specify a value for "
        "'executionRoleArn'.",
    ),
    "file's name": (
        task(app(environmentFiles=[{"value": "arn:aws:s3:::b/a.txt", "type": "s3"}]), executionRoleArn=ROLE),
        setting("An environment file must be the ARN of an S3 object that ends in .env."),
    ),
    "files": (
        task(
            app(environmentFiles=[{"value": f"arn:aws:s3:::b/{n}.env", "type": "s3"} for n in range(11)]),
            executionRoleArn=ROLE,
        ),
        setting("At most 10 environment files can be specified."),
    ),
    "awslogs without options": (
        task(app(logConfiguration={"logDriver": "awslogs"})),
        "Log driver awslogs requires options: awslogs-region, awslogs-group",
    ),
    "awslogs without region": (
        task(app(logConfiguration={"logDriver": "awslogs", "options": {"awslogs-group": "g"}})),
        "Log driver awslogs requires options: awslogs-region, awslogs-group",
    ),
    "no log router": (
        task(app(logConfiguration={"logDriver": "awsfirelens"})),
        setting("Log driver awsfirelens requires a container with a firelensConfiguration."),
    ),
    "two log routers": (
        task(
            app(firelensConfiguration={"type": "fluentbit"}),
            app(name="b", firelensConfiguration={"type": "fluentd"}),
        ),
        "A task definition can have only one container with a firelensConfiguration.",
    ),
    "log router's own logs": (
        task(
            app(
                firelensConfiguration={"type": "fluentbit"},
                logConfiguration={"logDriver": "awsfirelens"},
            )
        ),
        setting("A log router cannot send its own logs to awsfirelens."),
    ),
    "log router's file type": (
        task(app(firelensConfiguration={"type": "fluentd", "options": {"config-file-type": "ftp"}})),
        setting("The firelensConfiguration option config-file-type must be s3 or file."),
    ),
    "log router's file": (
        task(app(firelensConfiguration={"type": "fluentd", "options": {"config-file-type": "s3"}})),
        setting("The firelensConfiguration options config-file-type and config-file-value go together."),
    ),
    "health command": (
        task(app(healthCheck={"command": ["curl", "localhost"]})),
        setting("The health check command must start with CMD or CMD-SHELL and name what to run."),
    ),
    "empty health command": (
        task(app(healthCheck={"command": ["CMD"]})),
        setting("The health check command must start with CMD or CMD-SHELL and name what to run."),
    ),
    "health shell": (
        task(app(healthCheck={"command": ["CMD-SHELL", "curl", "localhost"]})),
        setting("A CMD-SHELL health check takes one string, the shell's command line."),
    ),
    "interval": (task(health(interval=4)), setting("'healthCheck.interval' must be between 5 and 300.")),
    "timeout": (task(health(timeout=61)), setting("'healthCheck.timeout' must be between 2 and 60.")),
    "retries": (task(health(retries=0)), setting("'healthCheck.retries' must be between 1 and 10.")),
    "start period": (
        task(health(startPeriod=301)),
        setting("'healthCheck.startPeriod' must be between 0 and 300."),
    ),
    "restart period": (
        task(app(restartPolicy={"enabled": True, "restartAttemptPeriod": 59})),
        setting("'restartPolicy.restartAttemptPeriod' must be between 60 and 1800."),
    ),
    "ignored exit codes": (
        task(app(restartPolicy={"enabled": True, "ignoredExitCodes": list(range(51))})),
        setting("At most 50 ignored exit codes can be specified."),
    ),
    "swappiness": (
        task(app(linuxParameters={"swappiness": 101})),
        setting("'linuxParameters.swappiness' must be between 0 and 100."),
    ),
    "swap": (
        task(app(linuxParameters={"maxSwap": -1})),
        setting("'linuxParameters.maxSwap' must be 0 or a positive integer."),
    ),
    "shared memory": (
        task(app(linuxParameters={"sharedMemorySize": 0})),
        setting("'linuxParameters.sharedMemorySize' must be a positive integer."),
    ),
    "capability": (
        task(app(linuxParameters={"capabilities": {"add": ["FLY"]}})),
        setting("'FLY' is not a capability of the Linux kernel."),
    ),
    "tmpfs size": (
        task(app(linuxParameters={"tmpfs": [{"containerPath": "/t", "size": 0}]})),
        setting("The size of a tmpfs must be a positive integer."),
    ),
    "tmpfs option": (
        task(app(linuxParameters={"tmpfs": [{"containerPath": "/t", "size": 1, "mountOptions": ["fast"]}]})),
        setting("'fast' is not a mount option of a tmpfs."),
    ),
    "sysctl without value": (
        task(app(systemControls=[{"namespace": "net.core.somaxconn"}])),
        setting("A system control needs a namespace and a value."),
    ),
    "sysctl": (
        task(app(systemControls=[{"namespace": "vm.swappiness", "value": "1"}])),
        setting("The system control 'vm.swappiness' is not namespaced."),
    ),
    "sysctl in host network": (
        task(app(systemControls=[{"namespace": "net.core.somaxconn", "value": "1"}]), networkMode="host"),
        setting("The system control 'net.core.somaxconn' is not supported with networkMode host."),
    ),
    "sysctl in host ipc": (
        task(app(systemControls=[{"namespace": "kernel.sem", "value": "1"}]), ipcMode="host"),
        setting("The system control 'kernel.sem' is not supported with ipcMode host."),
    ),
    "gpus": (
        task(app(resourceRequirements=[{"type": "GPU", "value": "0"}])),
        setting("The value of resource requirement GPU must be a positive number or ALL."),
    ),
    "neuron": (
        task(app(resourceRequirements=[{"type": "NeuronDevice", "value": "1"}])),
        setting("The value of resource requirement NeuronDevice must be ALL."),
    ),
    "accelerator": (
        task(app(resourceRequirements=[{"type": "InferenceAccelerator", "value": "d"}])),
        setting("'d' is not one of the task's inference accelerators."),
    ),
    "requirement without value": (
        task(app(resourceRequirements=[{"type": "GPU"}])),
        setting("The resource requirement GPU needs a value."),
    ),
    "sharing": (
        task(
            app(
                resourceRequirements=[
                    {"type": "GPU", "value": "1", "sharingStrategy": {"nvidiaMps": {"memory": 1}}}
                ]
            )
        ),
        setting("A sharing strategy goes with type GPU and without a value."),
    ),
}

ORDER = {
    "success of essential": (
        task(app(), app(name="b", dependsOn=[{"containerName": "app", "condition": "SUCCESS"}])),
        "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
    ),
    "complete of essential": (
        task(app(), app(name="b", dependsOn=[{"containerName": "app", "condition": "COMPLETE"}])),
        "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
    ),
    "healthy without check": (
        task(app(), app(name="b", dependsOn=[{"containerName": "app", "condition": "HEALTHY"}])),
        "A dependency container with HEALTHY condition must have a health check configured",
    ),
    "unknown dependency": (
        task(app(dependsOn=[{"containerName": "b", "condition": "START"}])),
        "Unknown container 'b' in 'dependsOn' of container 'app'.",
    ),
    "itself": (
        task(app(dependsOn=[{"containerName": "app", "condition": "START"}])),
        setting("'dependsOn' names the container itself."),
    ),
    "unknown link": (
        task(app(links=["db:database"])),
        "Unknown container 'db' in 'links' of container 'app'.",
    ),
    "unknown volumes from": (
        task(app(volumesFrom=[{"sourceContainer": "db"}])),
        "Unknown container 'db' in 'volumesFrom' of container 'app'.",
    ),
    "cycle": (
        task(
            app(dependsOn=[{"containerName": "b", "condition": "START"}]),
            app(name="b", links=["c"]),
            app(name="c", volumesFrom=[{"sourceContainer": "app"}]),
            app(name="d"),
        ),
        "Cyclic dependency between containers: app, b, c.",
    ),
}

VOLUMES = {
    "unknown": (
        task(app(mountPoints=[{"sourceVolume": "data", "containerPath": "/d"}])),
        "Unknown volume 'data'.",
    ),
    "mount without volume": (task(app(mountPoints=[{"containerPath": "/d"}])), "Unknown volume ''."),
    "mount without path": (
        task(app(mountPoints=[{"sourceVolume": "data"}]), volumes=[{"name": "data"}]),
        setting("A mount point needs a containerPath."),
    ),
    "without name": (task(volumes=[{"host": {}}]), "Volume.name should not be null or empty."),
    "name": (task(volumes=[{"name": "a.b"}]), "Volume.name contains invalid characters"),
    "twice": (
        task(volumes=[{"name": "data"}, {"name": "data"}]),
        "Duplicate volume name 'data'. Volume names must be unique.",
    ),
    "two kinds": (
        task(volumes=[{"name": "data", "host": {}, "dockerVolumeConfiguration": {}}]),
        "Volume 'data' must have only one volume configuration.",
    ),
    "autoprovision": (
        task(volumes=[{"name": "data", "dockerVolumeConfiguration": {"autoprovision": True}}]),
        "Volume 'data': autoprovision is only supported with scope shared.",
    ),
    "efs in the clear": (
        efs(authorizationConfig={"iam": "ENABLED"}),
        "Volume 'data': transit encryption must be enabled when an access point or IAM authorization is "
        "used.",
    ),
    "efs access point": (
        efs(
            transitEncryption="ENABLED", rootDirectory="/a", authorizationConfig={"accessPointId": "fsap-1"}
        ),
        "Volume 'data': the root directory must be omitted or set to / when an access point is specified.",
    ),
    "efs port": (
        efs(transitEncryptionPort=0),
        "Volume 'data': the transit encryption port must be between 1 and 65535.",
    ),
    "s3files access point": (
        task(
            volumes=[
                {
                    "name": "data",
                    "s3filesVolumeConfiguration": {
                        "fileSystemArn": "arn:aws:s3files:us-east-1:0:fs/1",
                        "accessPointArn": "arn:aws:s3files:us-east-1:0:ap/1",
                        "rootDirectory": "/a",
                    },
                }
            ]
        ),
        "Volume 'data': the root directory must be omitted or set to / when an access point is specified.",
    ),
    "two at launch": (
        task(volumes=[{"name": "a", "configuredAtLaunch": True}, {"name": "b", "configuredAtLaunch": True}]),
        "Only one volume can be configured at launch.",
    ),
}

TASK = {
    "task cpu": (task(cpu="64"), f"Invalid 'cpu' setting for task. {TROUBLESHOOTING}"),
    "much task cpu": (task(cpu="196609"), f"Invalid 'cpu' setting for task. {TROUBLESHOOTING}"),
    "words for cpu": (task(cpu="two"), f"Invalid 'cpu' setting for task. {TROUBLESHOOTING}"),
    "endless cpu": (task(cpu="9" * 5000), f"Invalid 'cpu' setting for task. {TROUBLESHOOTING}"),
    "endless vCPU": (task(cpu="9" * 400 + " vCPU"), f"Invalid 'cpu' setting for task. {TROUBLESHOOTING}"),
    "other digits": (task(cpu="٣٠٠"), f"Invalid 'cpu' setting for task. {TROUBLESHOOTING}"),
    "task memory": (task(memory="5"), f"Invalid 'memory' setting for task. {TROUBLESHOOTING}"),
    "words for memory": (task(memory="2 MB"), f"Invalid 'memory' setting for task. {TROUBLESHOOTING}"),
    "sum of cpu": (
        task(app(cpu=200), app(name="b", cpu=100), cpu="256"),
        "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.",
    ),
    "container above task": (
        task(app(memory=1025), memory="1 GB"),
        "The 'memory' setting for container is greater than for the task.",
    ),
    "reservation above task": (
        task(app(memory=None, memoryReservation=1025), memory="1024"),
        "The 'memory' setting for container is greater than for the task.",
    ),
    "constraint without type": (
        task(placementConstraints=[{"expression": "a"}]),
        "PlacementConstraint.type should not be null or empty.",
    ),
    "constraint without expression": (
        task(placementConstraints=[{"type": "memberOf"}]),
        "Expression must be specified for the memberOf constraint.",
    ),
    "constraints": (
        task(placementConstraints=[{"type": "memberOf", "expression": "agentConnected == true"}] * 11),
        "A maximum of 10 placement constraints is allowed.",
    ),
    "no policy": (
        task(
            requiresCompatibilities=["MANAGED_INSTANCES"],
            trustedExecutionConfiguration={"isolationMode": "CONFIDENTIAL_SANDBOX"},
        ),
        "attestationPolicy is required when isolationMode is CONFIDENTIAL_SANDBOX.",
    ),
    "trust elsewhere": (
        task(trustedExecutionConfiguration={"isolationMode": "ISOLATED_SANDBOX"}),
        "trustedExecutionConfiguration is supported only for MANAGED_INSTANCES.",
    ),
}

FARGATE = {
    "cpu": (fargate(cpu=None), "Fargate requires that 'cpu' be defined at the task level."),
    "memory": (fargate(memory=None), "Fargate requires that 'memory' be defined at the task level."),
    "pair": (fargate(cpu="256", memory="4096"), "No Fargate configuration exists for given values."),
    "size": (fargate(cpu="128", memory="512"), "No Fargate configuration exists for given values."),
    "mode": (fargate(networkMode=None), "Fargate only supports network mode ‘awsvpc’."),
    "awslogs": (
        fargate(app(logConfiguration=AWSLOGS)),
        "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
    ),
    "ecr": (
        fargate(app(image="000000000000.dkr.ecr.us-east-1.amazonaws.com/web:1")),
        "Fargate requires task definition to have execution role ARN to support ECR images.",
    ),
    "log driver": (
        fargate(app(logConfiguration={"logDriver": "syslog"})),
        "Fargate compatible task definitions do not support log driver syslog",
    ),
    "privileged": (
        fargate(app(privileged=True)),
        "Fargate compatible task definitions do not support privileged containers",
    ),
    "disableNetworking": (
        fargate(app(disableNetworking=True)),
        "Fargate compatible task definitions do not support disableNetworking",
    ),
    "dnsSearchDomains": (
        fargate(app(dnsSearchDomains=["a"])),
        "Fargate compatible task definitions do not support dnsSearchDomains",
    ),
    "dockerSecurityOptions": (
        fargate(app(dockerSecurityOptions=["label:a"])),
        "Fargate compatible task definitions do not support dockerSecurityOptions",
    ),
    "pid": (fargate(pidMode="host"), "Fargate compatible task definitions do not support pidMode host"),
    "ipc": (fargate(ipcMode="task"), "Fargate compatible task definitions do not support ipcMode"),
    "constraints": (
        fargate(placementConstraints=[{"type": "memberOf", "expression": "agentConnected == true"}]),
        "Fargate compatible task definitions do not support placementConstraints",
    ),
    "accelerators": (
        fargate(inferenceAccelerators=[{"deviceName": "d", "deviceType": "eia2.medium"}]),
        "Fargate compatible task definitions do not support inferenceAccelerators",
    ),
    "gpu": (
        fargate(app(resourceRequirements=[{"type": "GPU", "value": "1"}])),
        "Fargate compatible task definitions do not support resourceRequirements",
    ),
    "docker volume": (
        fargate(volumes=[{"name": "d", "dockerVolumeConfiguration": {}}]),
        "Fargate compatible task definitions do not support dockerVolumeConfiguration",
    ),
    "host path": (
        fargate(volumes=[{"name": "d", "host": {"sourcePath": "/d"}}]),
        "Fargate compatible task definitions do not support the host volume parameter sourcePath",
    ),
    "fsx": (
        fargate(
            volumes=[
                {
                    "name": "d",
                    "fsxWindowsFileServerVolumeConfiguration": {
                        "fileSystemId": "fs-1",
                        "rootDirectory": "/",
                        "authorizationConfig": {"credentialsParameter": "p", "domain": "d"},
                    },
                }
            ]
        ),
        "Fargate compatible task definitions do not support fsxWindowsFileServerVolumeConfiguration",
    ),
    "devices": (
        fargate(app(linuxParameters={"devices": [{"hostPath": "/dev/a"}]})),
        "Fargate compatible task definitions do not support devices",
    ),
    "swap": (
        fargate(app(linuxParameters={"maxSwap": 1})),
        "Fargate compatible task definitions do not support maxSwap",
    ),
    "swappiness": (
        fargate(app(linuxParameters={"swappiness": 1})),
        "Fargate compatible task definitions do not support swappiness",
    ),
    "shared memory": (
        fargate(app(linuxParameters={"sharedMemorySize": 1})),
        "Fargate compatible task definitions do not support sharedMemorySize",
    ),
    "capabilities": (
        fargate(app(linuxParameters={"capabilities": {"add": ["SYS_PTRACE", "NET_ADMIN"]}})),
        "Fargate compatible task definitions do not support adding capabilities other than SYS_PTRACE",
    ),
    "windows": (
        fargate(runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}),
        "No Fargate configuration exists for given values.",
    ),
    "storage": (
        fargate(ephemeralStorage={"sizeInGiB": 20}),
        "Ephemeral storage size must be between 21 GiB and 200 GiB.",
    ),
    "timeout": (
        fargate(app(stopTimeout=121)),
        setting("'stopTimeout' must be at most 120 seconds on Fargate."),
    ),
    "start timeout": (
        fargate(app(startTimeout=121)),
        setting("'startTimeout' must be at most 120 seconds on Fargate."),
    ),
}

ELSEWHERE = {
    "external awsvpc": (
        task(requiresCompatibilities=["EXTERNAL"], networkMode="awsvpc"),
        "External instances do not support network mode awsvpc.",
    ),
    "external efs": (
        {**efs(), "requiresCompatibilities": ["EXTERNAL"]},
        "External instances do not support efsVolumeConfiguration.",
    ),
    "managed bridge": (
        task(requiresCompatibilities=["MANAGED_INSTANCES"]),
        "Managed instances only support network modes awsvpc and host.",
    ),
    "managed cpu": (
        task(requiresCompatibilities=["MANAGED_INSTANCES"], networkMode="host"),
        "Managed instances require that 'cpu' be defined at the task level.",
    ),
    "managed memory": (
        task(requiresCompatibilities=["MANAGED_INSTANCES"], networkMode="host", cpu="256"),
        "Managed instances require that 'memory' be defined at the task level.",
    ),
}

CASES = {
    f"{group}: {name}": case
    for group, cases in {
        "containers": CONTAINERS,
        "network": NETWORK,
        "running": RUNNING,
        "order": ORDER,
        "volumes": VOLUMES,
        "task": TASK,
        "fargate": FARGATE,
        "elsewhere": ELSEWHERE,
    }.items()
    for name, case in cases.items()
}


@pytest.mark.parametrize("name", CASES)
def test_refused(ecs: Ecs, name: str) -> None:
    params, message = CASES[name]
    assert ecs.refusal("RegisterTaskDefinition", **params) == ("ClientException", message)


def test_an_expression_that_cannot_be_parsed(ecs: Ecs) -> None:
    params = task(placementConstraints=[{"type": "memberOf", "expression": "attribute:stack =="}])
    code, message = ecs.refusal("RegisterTaskDefinition", **params)
    assert code == "ClientException"
    assert message.startswith("Invalid placement constraint expression: ")


def test_64_kib_are_the_limit(ecs: Ecs) -> None:
    around = task(app(environment=[{"name": "A", "value": ""}]))
    fitting = 65_536 - len(json.dumps(around, separators=(",", ":")))
    ecs("RegisterTaskDefinition", **task(app(environment=[{"name": "A", "value": "x" * fitting}])))
    assert ecs.refusal(
        "RegisterTaskDefinition", **task(app(environment=[{"name": "A", "value": "x" * (fitting + 1)}]))
    ) == ("ClientException", "Actual length: '65537'. Max allowed length is '65536' bytes.")


def test_a_member_that_the_model_does_not_know_is_refused_by_name(ecs: Ecs) -> None:
    """A newer botocore lets through what this version has no place for."""
    assert ecs.refusal("RegisterTaskDefinition", **task(app(turbo=True))) == (
        "ClientException",
        "containerDefinitions.0.turbo is not supported by this version of miniecs: "
        "Extra inputs are not permitted.",
    )


ALLOWED = {
    "ten containers": task(*(app(name=f"c{n}") for n in range(10))),
    "digest": task(app(image="public.ecr.aws/nginx/nginx@sha256:" + "0a" * 32)),
    "least memory": task(app(memory=6)),
    "same container port": task(app(portMappings=[port(80)]), app(name="b", portMappings=[port(80)])),
    "tcp and udp": task(app(portMappings=[port(53, hostPort=53), port(53, hostPort=53, protocol="udp")])),
    "range of 100": task(app(portMappings=[port(None, containerPortRange="101-200")])),
    "parameter's name": task(app(secrets=[{"name": "K", "valueFrom": "key"}]), executionRoleArn=ROLE),
    "bounds of health": task(health(interval=5, timeout=60, retries=10, startPeriod=0)),
    "task memory alone": task(app(memory=None), memory="512"),
    "least task cpu": task(cpu="128"),
    "most task cpu": task(cpu="192 vCPU"),
    "cpu of containers is the task's": task(app(cpu=128), app(name="b", cpu=128), cpu="256"),
    "unlimited ulimit": task(app(ulimits=[{"name": "core", "softLimit": -1, "hardLimit": -1}])),
    "success of a helper": task(
        app(dependsOn=[{"containerName": "init", "condition": "SUCCESS"}]), app(name="init", essential=False)
    ),
    "diamond": task(
        app(dependsOn=[{"containerName": n, "condition": "START"} for n in ("b", "c")]),
        app(name="b", dependsOn=[{"containerName": "d", "condition": "START"}]),
        app(name="c", dependsOn=[{"containerName": "d", "condition": "START"}]),
        app(name="d"),
    ),
    "host network and its ports": task(
        app(portMappings=[port(80, hostPort=80), port(81)]), networkMode="host"
    ),
    "gpu": task(app(resourceRequirements=[{"type": "GPU", "value": "2"}])),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed(ecs: Ecs, name: str) -> None:
    assert ecs("RegisterTaskDefinition", **ALLOWED[name])["taskDefinition"]["revision"] == 1


FARGATE_TABLE = {
    "256": [512, 1024, 2048],
    "512": [1024, 2048, 3072, 4096],
    "1024": [gb * 1024 for gb in range(2, 9)],
    "2048": [gb * 1024 for gb in range(4, 17)],
    "4096": [gb * 1024 for gb in range(8, 31)],
    "8192": [gb * 1024 for gb in range(16, 61, 4)],
    "16384": [gb * 1024 for gb in range(32, 121, 8)],
}


@pytest.mark.parametrize("cpu", FARGATE_TABLE)
def test_the_sizes_of_fargate(ecs: Ecs, cpu: str) -> None:
    allowed = FARGATE_TABLE[cpu]
    tried = {512, *(gb * 1024 for gb in range(1, 129))}
    for memory in sorted(tried):
        params = fargate(cpu=cpu, memory=str(memory))
        if memory in allowed:
            ecs("RegisterTaskDefinition", **params)
        else:
            assert ecs.refusal("RegisterTaskDefinition", **params) == (
                "ClientException",
                "No Fargate configuration exists for given values.",
            )
