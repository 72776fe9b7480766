//! Replays prefix-cache operations and prints what the cache did.
//!
//! ```text
//! cargo run --release -p sglsim-radix --example replay -- \
//!     [--page-size N] [--eviction-policy P] [--capacity C] \
//!     [--hicache-size N] [--hicache-write-policy P] FILE
//! ```
//!
//! One JSON object a line in, one a line out; `-` reads standard input, empty lines and lines that
//! start with `#` are skipped. Every answer has the tokens that are `evictable` and `protected`.
//!
//! | operation | answers |
//! |---|---|
//! | `{"op":"insert","tokens":[..],"priority":0,"extra_key":null,"inserted_len":0}` | `prefix_len` |
//! | `{"op":"match","tokens":[..],"extra_key":null}` | `matched` |
//! | `{"op":"lock","id":"a","tokens":[..]}`, `{"op":"unlock","id":"a"}` | `matched` |
//! | `{"op":"evict","n":5}` | `evicted` |
//! | `{"op":"state"}`, `{"op":"reset"}` | `total` |
//!
//! With `--capacity` there is a pool of KV slots too, and requests live in it; every answer then has
//! the slots that are `available`.
//!
//! | operation | answers |
//! |---|---|
//! | `{"op":"admit","rid":"r","tokens":[..],"extra_key":null,"priority":0}` | `matched` |
//! | `{"op":"extend","rid":"r","n":16}` (without `n`: all that is left) | `protected_len`, or `error` |
//! | `{"op":"decode","rid":"r","tokens":[..]}` | `error` if memory ran out |
//! | `{"op":"finish","rid":"r"}`, `{"op":"release","rid":"r"}` (nothing published) | `kept` |
//!
//! With `--hicache-size` there is a host tier of so many tokens under the tree. `match` and `lock` then
//! answer `host` too, what they found there only; `lock` brings it back; every answer has what is
//! `on_host`. Copies to the host keep their prefix locked until `{"op":"ack","n":2}` says that the
//! eldest are done.
//!
//! A line that makes no sense ends the replay with exit code 1, a wrong command line with 2.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod driver;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::process::ExitCode;

use driver::{Driver, Settings};

const USAGE: &str = "usage: replay [--page-size N] [--eviction-policy P] [--capacity C] \
    [--hicache-size N] [--hicache-write-policy P] FILE (- for standard input)";

fn main() -> ExitCode {
    let (settings, file) = match parse(std::env::args().skip(1)) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("error: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(settings, &file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<(Settings, String)>, String> {
    let (mut settings, mut file) = (Settings::default(), None);
    while let Some(argument) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("`{argument}` needs a value"));
        let number = |text: String| {
            text.parse::<u64>()
                .map_err(|_| format!("`{argument}` is `{text}`, allowed is a number"))
        };
        match argument.as_str() {
            "-h" | "--help" => return Ok(None),
            "--page-size" => settings.page_size = number(value()?)?,
            "--capacity" => settings.capacity = Some(number(value()?)?),
            "--hicache-size" => settings.host = Some(number(value()?)?),
            "--hicache-write-policy" => settings.write_policy = value()?.parse().map_err(said)?,
            "--eviction-policy" => settings.policy = value()?.parse().map_err(said)?,
            flag if flag.starts_with("--") => return Err(format!("there is no option `{flag}`")),
            _ if file.is_some() => return Err(format!("one file too many: `{argument}`")),
            _ => file = Some(argument),
        }
    }
    let file = file.ok_or("a FILE is missing")?;
    settings.check()?;
    Ok(Some((settings, file)))
}

fn said(error: sglsim_radix::RadixError) -> String {
    error.to_string()
}

fn run(settings: Settings, file: &str) -> Result<(), String> {
    let failed = |error: io::Error| format!("{file}: {error}");
    let input: Box<dyn BufRead> = match file {
        "-" => Box::new(io::stdin().lock()),
        path => Box::new(BufReader::new(File::open(path).map_err(failed)?)),
    };
    let mut output = BufWriter::new(io::stdout().lock());
    let mut driver = Driver::new(settings)?;
    for (at, line) in input.lines().enumerate() {
        let line = line.map_err(failed)?;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let answer = driver.run(line);
        let written = match answer {
            Ok(answer) => writeln!(output, "{answer}"),
            Err(message) => {
                // What was answered until here is still worth something.
                output.flush().map_err(failed)?;
                return Err(format!("{file}, line {}: {message}", at + 1));
            }
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            done => done.map_err(failed)?,
        }
    }
    output.flush().map_err(failed)
}
