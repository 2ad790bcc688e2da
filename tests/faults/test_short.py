"""A search through one fault after the other, beside the same search in peace: the short version, of every run of the tests.

On the embedded set-up messages go over PostgreSQL, on the servers over a RabbitMQ of this test's own.
"""

from __future__ import annotations

import signal

from .test_faults import assert_clean, has_another, kill_web_server, send_in_disorder

STOP = {"max_individuals": 1_000_000_000, "max_seconds": 3600.0, "max_experiments": 1}
"""Longer than all the faults together on any machine: the end is set after the last of them."""


def test_through_one_fault_after_the_other(make_rig, setup_name):
    rig = make_rig(broker=setup_name == "servers", ABOVO_TURN_SECONDS="2")
    [search_id] = rig.launch(1, stop=STOP)

    rig.wait_for_holder(search_id).kill()
    rig.wait_for_progress(search_id)

    holder = rig.wait_for_holder(search_id)
    holder.suspend()
    rig.wait_for(lambda: rig.states(search_id)[1] == {"queued"}, why="a frozen worker keeps its lease")
    holder.resume()
    send_in_disorder(rig, search_id)
    rig.wait_for_progress(search_id)

    rig.wait_for_holder(search_id)
    rig.database.stop(signal.SIGKILL)
    fallen = kill_web_server(rig)
    rig.database.start()
    if rig.broker:
        rig.broker.stop()
        rig.broker.start()
    rig.wait_for(lambda: has_another(rig, fallen), why="the web server does not come back")
    rig.wait_for_progress(search_id)  # until then the row may name a holder who has lost its slice with the database

    rig.wait_for_holder(search_id)
    assert rig.product.stop(signal.SIGTERM) == 0
    # Unless the machine was too busy to end in time: then the watch over leases gives it out again.
    if "did not end in time" not in rig.product.output():
        assert rig.states(search_id)[1] == {"queued"}, rig.product.output()
    rig.product.start()
    end = rig.end_soon(search_id)
    [reference] = rig.launch(1, stop={**STOP, "max_individuals": end})
    for one in (search_id, reference):
        rig.wait_for_end(one)
    assert rig.content(search_id) == rig.content(reference)
    assert_clean(rig, search_id, reference)
