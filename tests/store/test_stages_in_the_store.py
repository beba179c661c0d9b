"""A stage on its way into the store."""

from pathlib import Path

import pytest

from sslkit.store import Store


@pytest.mark.parametrize("killed", [False, True])
def test_a_stage_is_published_without_checkpoints_also_where_a_kill_came_before(tmp_path: Path, killed: bool) -> None:
    """A kill between the result and the publishing leaves both; the next call publishes what is there."""
    store = Store(tmp_path)
    store.prepare()

    def train(folder: Path) -> None:
        (folder / "checkpoint-000000030.safetensors").touch()
        (folder / "result.json").write_text("{}")

    if killed:
        (store.stages / ".k").mkdir()
        train(store.stages / ".k")
    with store.working("k", lambda: None) as folder:
        assert (folder is None) == killed
        if folder:
            train(folder)
    assert [path.name for path in (store.stages / "k").iterdir()] == ["result.json"]
