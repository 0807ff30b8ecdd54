"""Worker processes end when their work does."""

from avemotion.parallel.processes import SPAWN, exit_with_parent


def test_watching_the_parent_keeps_no_process_alive() -> None:
    process = SPAWN.Process(target=exit_with_parent)
    process.start()
    try:
        process.join(60)
        assert process.exitcode == 0
    finally:
        process.kill()
