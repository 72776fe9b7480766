//! Where recorded data lie, if they are there at all.

use std::fmt::Debug;
use std::path::PathBuf;

use serde_json::Value;

/// The folder that `SGLSIM_DATA` names; says so aloud and returns `None` if it is unset.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SGLSIM_DATA").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: SGLSIM_DATA is not set");
    }
    folder
}

/// The folder with recorded answers of the real SGLang.
pub(crate) fn recordings() -> Option<PathBuf> {
    Some(folder()?.join("../tools/sglang-reference/examples"))
}

/// A JSON list of numbers.
pub(crate) fn parse_list<T: TryFrom<u64, Error: Debug>>(list: &Value) -> Vec<T> {
    let numbers = list.as_array().expect("a list").iter();
    numbers.map(|n| n.as_u64().expect("a number").try_into().expect("in range")).collect()
}
