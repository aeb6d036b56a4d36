"""The check that operations' tests make of every result."""

from miniecs_api.wire.outputs import problems


def test_a_right_result_has_no_problems() -> None:
    task = {"taskArn": "a", "cpu": None, "version": 1, "createdAt": 1.5, "tags": [{"key": "k", "value": "v"}]}
    assert problems("ecs", "DescribeTasks", {"tasks": [task], "failures": []}) == []
    assert problems("elbv2", "DeleteRule", {}) == []
    assert problems("cloudwatch", "PutMetricData", {}) == []


def test_each_slip_is_named_with_its_path() -> None:
    result = {
        "tasks": [{"arn": "a", "version": "1", "createdAt": "now", "enableExecuteCommand": 1, "tags": {}}],
        "failures": [{"arn": 5}],
        "clusters": None,
    }
    assert problems("ecs", "DescribeTasks", result) == [
        "DescribeTasks.tasks[0].arn: Task has no such member",
        "DescribeTasks.tasks[0].version: '1' is no long",
        "DescribeTasks.tasks[0].createdAt: 'now' is no timestamp",
        "DescribeTasks.tasks[0].enableExecuteCommand: 1 is no boolean",
        "DescribeTasks.tasks[0].tags: {} is no list",
        "DescribeTasks.failures[0].arn: 5 is no string",
        "DescribeTasks.clusters: DescribeTasksResponse has no such member",
    ]
    assert problems("ecs", "DescribeTasks", {"tasks": [{"launchType": "MOON", "attributes": [True]}]}) == [
        "DescribeTasks.tasks[0].launchType: 'MOON' is none of EC2, FARGATE, EXTERNAL, MANAGED_INSTANCES",
        "DescribeTasks.tasks[0].attributes[0]: True is no structure",
    ]
    assert problems("cloudwatch", "PutMetricData", {"a": 1}) == [
        "PutMetricData answers nothing, not {'a': 1}"
    ]
