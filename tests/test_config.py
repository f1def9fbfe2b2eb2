"""Settings: where they come from, which wins, and what is said of a wrong one."""

import re
import tomllib
from pathlib import Path

import pytest

from rtface.config import Config, load_config, parse_flags
from rtface.errors import ConfigError

SHIPPED = Path(__file__).parents[1] / "config.toml"


def test_config_toml_shows_every_setting_with_its_default() -> None:
    uncommented = re.sub(r"^# (?=[a-z_0-9]+ = )", "", SHIPPED.read_text(), flags=re.M)
    shown = tomllib.loads(uncommented)
    assert list(shown) == list(Config.model_fields)
    places = {"engines_dir", "gallery"}
    defaults = Config()
    assert {key: value for key, value in shown.items() if key not in places} == defaults.model_dump(exclude=places)
    assert all(getattr(defaults, key) == SHIPPED.parent / str(shown[key]) for key in places)


def test_flags_beat_the_environment_and_the_environment_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("k = 3\nmin_votes = 4\nmin_face_px = 50\n")
    config = load_config(file, {"min_face_px": "70"}, {"RTFACE_MIN_VOTES": "6", "RTFACE_MIN_FACE_PX": "60"})
    assert (config.k, config.min_votes, config.min_face_px) == (3, 6, 70)


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('gallery = "people.db"\n')
    assert load_config(file, {}, {}).gallery == tmp_path / "people.db"


def test_key_file_named_in_a_file_is_relative_to_it(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('gallery_key = "file:gallery.key"\n')
    assert load_config(file, {}, {}).gallery_key == f"file:{tmp_path / 'gallery.key'}"
    file.write_text('gallery_key = "env:GALLERY_KEY"\n')
    assert load_config(file, {}, {}).gallery_key == "env:GALLERY_KEY"


def test_unknown_setting_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"'min_vote'.*Did you mean 'min_votes'"):
        load_config(None, {"min_vote": "3"}, {})


def test_unknown_setting_in_a_file_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("colour = 1\n")
    with pytest.raises(ConfigError, match=r"'colour'.*c\.toml"):
        load_config(file, {}, {})


def test_value_out_of_range_says_where_it_came_from() -> None:
    with pytest.raises(ConfigError, match=r"k = 'many' \(--set\)"):
        load_config(None, {"k": "many"}, {})
    with pytest.raises(ConfigError, match=r"min_share = '7' \(environment\)"):
        load_config(None, {}, {"RTFACE_MIN_SHARE": "7"})


def test_missing_and_broken_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_config(tmp_path / "no.toml", {}, {})
    (tmp_path / "bad.toml").write_text("k = = 3")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "bad.toml", {}, {})


def test_flag_without_a_value_is_told() -> None:
    with pytest.raises(ConfigError, match="key=value"):
        parse_flags(("k",))


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().k = 9
