"""Addresses of servers: told apart from paths, and never shown with their passwords."""

from pathlib import Path

import pytest

from rtface.config import Config, load_config
from rtface.errors import ConfigError
from rtface.server_url import ServerUrl


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("postgresql://h/db", "postgresql://h/db"),
        ("postgresql://me@h/db", "postgresql://me@h/db"),
        ("postgresql://me:word@h:5432/db", "postgresql://me:***@h:5432/db"),
        ("postgresql://me:wo%40rd@h1:1,h2:2/db?sslmode=require", "postgresql://me:***@h1:1,h2:2/db?sslmode=require"),
        ("postgres://me:wo/r?d:x@h/db", "postgres://me:***@h/db"),
        ("postgres://me:w?o=r@d@h/db?sslmode=require", "postgres://me:***@h/db?sslmode=require"),
        ("postgresql:///db?host=/run&password=word&user=me", "postgresql:///db?host=/run&password=***&user=me"),
        ("postgresql://h?user=a@b&sslpassword=word", "postgresql://h?user=a@b&sslpassword=***"),
    ],
)
def test_password_is_hidden_however_it_is_given(secret: str, shown: str) -> None:
    url = ServerUrl(secret)
    assert str(url) == f"{url}" == shown
    assert repr(url) == f"ServerUrl({shown!r})"
    assert url.secret == secret


def test_password_in_somebody_else_s_message_is_hidden_in_both_spellings() -> None:
    url = ServerUrl("postgresql://me:wo%40rd@h/db?sslpassword=other")
    assert url.hidden_in("bad wo%40rd, wo@rd and other") == "bad ***, *** and ***"


def test_setting_is_a_path_or_a_server(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('gallery = "postgresql://me:word@h/db"', encoding="utf-8")
    assert load_config(file, environment={}).gallery == ServerUrl("postgresql://me:word@h/db")
    file.write_text('gallery = "people.db"', encoding="utf-8")
    assert load_config(file, environment={}).gallery == tmp_path / "people.db"
    in_environment = load_config(file, environment={"RTFACE_GALLERY": "postgres://h/db"})
    assert in_environment.gallery == ServerUrl("postgres://h/db")


def test_no_form_of_the_settings_shows_the_password() -> None:
    config = load_config(None, {"gallery": "postgresql://me:word@h/db"}, environment={})
    dumped = config.model_dump(mode="json")
    assert not any("word" in text for text in (repr(config), str(config), str(dumped), config.model_dump_json()))
    assert str(Config.model_validate(dumped).gallery) == "postgresql://me:***@h/db"


def test_setting_that_is_neither_is_refused() -> None:
    with pytest.raises(ConfigError, match="gallery = 7"):
        load_config(None, {"gallery": 7}, environment={})
