from bench.rows.purges import settled


def test_the_start_of_a_process_is_no_part_of_its_purge() -> None:
    starting = [(0.0, 10), (5.0, 20)]
    purging = [(6.0, 50), (8.0, 51), (10.0, 52), (10.1, 0)]

    assert settled([*starting, *purging], 5.0) == [51, 52]
