"""A host and its alarm clock: what an agent wakes for, and for nothing twice."""

from miniecs.sim.world import World


def test_an_agent_that_is_cut_off_has_no_more_alarms_set_as_time_goes_by() -> None:
    """It dials and reports again and again, and often one is due sooner than the alarm that is set."""
    world = World(0, hosts=1, checked=False)
    world.run(10)
    container = {"name": "app", "image": "sim/exit-0-after-5", "memory": 64}
    world.ecs("RegisterTaskDefinition", family="app", containerDefinitions=[container])
    world.ecs("CreateService", serviceName="web", taskDefinition="app", desiredCount=2)
    world.run(20)
    [host] = world.hosts()
    world.network.cut(host.facts.instance_id)
    world.run(6_000)
    assert len(world.timeline.heap) < 10  # all that is set on simulated time; it had grown to a hundred
