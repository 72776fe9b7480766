//! Orders waiting queues and forms one prefill batch of each, as SGLang's `SchedulePolicy` and
//! `PrefillAdder` do.
//!
//! ```text
//! cargo run --release -p sglsim-sched --example admission -- FILE
//! ```
//!
//! One JSON scenario a line in, one answer a line out; `-` reads standard input, empty lines and
//! lines that start with `#` are skipped. `capacity` is needed, every other field has the default
//! that SGLang has:
//!
//! | field | meaning |
//! |---|---|
//! | `capacity`, `page_size` (1) | KV slots of the pool, in whole pages |
//! | `chunked_prefill_size` (8192, null is off), `max_prefill_tokens` (16384), `prefill_max_requests` | budgets of the pass |
//! | `new_token_ratio` (0.7), `mixed_decode_tokens` (0), `allocatable` (1000000) | what runs may still need, decoding rows that come along, rows that are free |
//! | `policy` ("fcfs"), `processed_tokens` (0) | order of the queue; prompt tokens computed so far |
//! | `priority_scheduling`, `low_priority_first`, `preempt` (false), `preempt_threshold` (10) | priorities |
//! | `disable_tree` (false), `eviction_policy` ("lru"), `cached` | the prefix cache, and prompts that are in it |
//! | `running` | `{rid, prompt, out, max_new, ignore_eos?, priority?, entry?, routing_key?}` |
//! | `chunked` | `{rid, tokens, done, max_new, …}`: the first `done` tokens are computed |
//! | `waiting` | `{rid, tokens, max_new, out?, extra_key?, arrival_processed?, …}` |
//!
//! `tokens` is a list of ids, or `{"seed": s, "len": n}` for n ids that only that seed has.
//!
//! The answer has the `order` of the queue, a step for every request that was tried, the `batch`, the
//! request that is now being chunked, those that were pushed out, and the budgets before and after.
//!
//! A line that makes no sense ends the run with exit code 1, a wrong command line with 2.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod answer;
mod scenario;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::process::ExitCode;

const USAGE: &str = "usage: admission FILE (- for standard input)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let file = match arguments.as_slice() {
        [help] if help == "-h" || help == "--help" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        [file] if file == "-" || !file.starts_with('-') => file,
        _ => {
            eprintln!("error: one FILE is allowed and no option\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(file: &str) -> Result<(), String> {
    let failed = |error: io::Error| format!("{file}: {error}");
    let input: Box<dyn BufRead> = match file {
        "-" => Box::new(io::stdin().lock()),
        path => Box::new(BufReader::new(File::open(path).map_err(failed)?)),
    };
    let mut output = BufWriter::new(io::stdout().lock());
    for (at, line) in input.lines().enumerate() {
        let line = line.map_err(failed)?;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match answer::answer(line) {
            Ok(answer) => match writeln!(output, "{answer}") {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                done => done.map_err(failed)?,
            },
            Err(message) => {
                output.flush().map_err(failed)?;
                return Err(format!("{file}, line {}: {message}", at + 1));
            }
        }
    }
    output.flush().map_err(failed)
}
