//! The values of the media link, held to the golden files that Python writes.

use std::fs;
use std::path::{Path, PathBuf};

use dialroom_protocol::{FromMedia, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn golden_files(prefix: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/media_protocol");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the golden files are there")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|e| e == "msgpack"))
        .filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix)))
        .collect();
    files.sort();
    files
}

fn check<T: Serialize + DeserializeOwned>(prefix: &str, at_least: usize) {
    let files = golden_files(prefix);
    assert!(files.len() >= at_least, "only {} {prefix} files", files.len());
    for file in files {
        let bytes = fs::read(&file).expect("a readable file");
        let value: T = rmp_serde::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let again = rmp_serde::to_vec_named(&value).expect("a value that can be written");
        assert_eq!(again, bytes, "{} is written differently", file.display());
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(file.with_extension("json")).expect("its JSON mirror"))
                .expect("valid JSON");
        let seen = serde_json::to_value(&value).expect("a value that can be written");
        assert_eq!(seen, json, "{} is read differently", file.display());
    }
}

#[test]
fn commands_are_read_and_written_as_python_does() {
    check::<Request>("command_", 28);
}

#[test]
fn answers_are_read_and_written_as_python_does() {
    check::<FromMedia>("answer_", 8);
}

#[test]
fn events_are_read_and_written_as_python_does() {
    check::<FromMedia>("event_", 12);
}
