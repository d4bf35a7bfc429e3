from pathlib import Path

import pytest
from moorline_operator.errors import ConfigurationError
from moorline_operator.settings import Settings, read_settings, seconds

IMAGE = "injection: {image: example/sidecar}"


def read(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "operator.yaml"
    file.write_text(text, encoding="utf-8")
    return read_settings(file)


def test_only_the_image_has_to_be_given(tmp_path: Path) -> None:
    settings = read(tmp_path, IMAGE)
    assert settings.injection.image == "example/sidecar"
    assert settings.watch_namespaces == ()
    assert seconds(settings.webhook.drain) == 15


def test_members_are_written_as_in_every_kubernetes_object(tmp_path: Path) -> None:
    settings = read(tmp_path, f"{IMAGE}\nwatchNamespaces: [web]\nelection: {{renewDeadline: 8s}}")
    assert settings.watch_namespaces == ("web",)
    assert settings.election.renew_deadline == "8s"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("", "Expected `object`", id="empty"),
        pytest.param("{", "did not find expected node", id="no YAML"),
        pytest.param("injection: {}", "image", id="no image"),
        pytest.param(f"{IMAGE}\nwatchNamespace: web", "watchNamespace", id="unknown member"),
        pytest.param(f"{IMAGE}\nlogLevel: loud", "logLevel", id="no level"),
        pytest.param(f"{IMAGE}\nwebhook: {{drain: soon}}", "webhook.drain", id="no duration"),
        pytest.param(
            f"{IMAGE}\nelection: {{duration: 5s}}", "renewDeadline", id="deadline above duration"
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    assert told in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_settings(tmp_path / "none.yaml")
