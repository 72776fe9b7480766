//! Places requests as sglang-router does, and prints which worker got each.
//!
//! ```text
//! cargo run --release -p sglsim-router --example place -- [--policy P] \
//!     [--workers N | --prefill N --decode M] [--against ANSWERS] FILE
//! ```
//!
//! One JSON object a line in, one a line out; `-` reads standard input, empty lines and lines that
//! start with `#` are skipped.
//!
//! | operation | answers |
//! |---|---|
//! | `{"op":"send","id":"1","text":"…","headers":{…}}` | `worker`, or `prefill` and `decode`, or `status` if nobody got it |
//! | `{"op":"done","id":"1"}` | `status`: the response has ended |
//! | `{"op":"fail","id":"1","status":500}` | `status`, and `retried_on`: where the router tried again |
//! | `{"op":"abort","id":"1"}` | the client has gone away |
//! | `{"op":"sleep","s":1.5}` | time passes |
//! | `{"op":"start","workers":3,"args":{"policy":"manual"}}` | a new router; what is left out is as on the command line |
//!
//! A request with `"body":{"input_ids":[…]}` is routed by the ids in decimal, as the real router
//! does. Headers that count are `X-SMG-Routing-Key` and `X-SMG-Target-Worker`. Every option of
//! sglang-router that decides something here has its name: `--help` lists them.
//!
//! With `--against`, nothing is printed but the decisions that cannot be explained: ANSWERS holds
//! what the real router answered, and an answer is explained if some order of the workers and some
//! draws of the policy's random stream give it.
//!
//! A line that makes no sense, or a difference, ends with exit code 1, a wrong command line with 2.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod compare;
mod driver;
mod settings;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::process::ExitCode;

use driver::Driver;
use settings::{OPTIONS, Settings};

const USAGE: &str =
    "usage: place [OPTION VALUE]... [--against ANSWERS] FILE (- for standard input)";

struct Arguments {
    settings: Settings,
    against: Option<String>,
    file: String,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => {
            println!("{USAGE}\n\noptions:");
            for (name, meaning) in OPTIONS {
                println!("  --{:<26}{meaning}", name.replace('_', "-"));
            }
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("error: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let (mut settings, mut file, mut against) = (Settings::default(), None, None);
    while let Some(argument) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("`{argument}` needs a value"));
        match argument.as_str() {
            "-h" | "--help" => return Ok(None),
            "--dp-aware" => settings.set("dp_aware", "true")?,
            "--against" => against = Some(value()?),
            flag if flag.starts_with("--") => {
                let name = flag.trim_start_matches('-').replace('-', "_");
                settings.set(&name, &value()?)?;
            }
            _ if file.is_some() => return Err(format!("one file too many: `{argument}`")),
            _ => file = Some(argument),
        }
    }
    let file = file.ok_or("a FILE is missing")?;
    settings.check()?;
    Ok(Some(Arguments { settings, against, file }))
}

/// Whether all is well.
fn run(arguments: &Arguments) -> Result<bool, String> {
    let Arguments { settings, against, file } = arguments;
    let failed = |error: io::Error| format!("{file}: {error}");
    let input: Box<dyn BufRead> = match file.as_str() {
        "-" => Box::new(io::stdin().lock()),
        path => Box::new(BufReader::new(File::open(path).map_err(failed)?)),
    };
    if let Some(answers) = against {
        let lines = |input: Box<dyn BufRead>| input.lines().collect::<Result<Vec<_>, _>>();
        let recorded = File::open(answers).map(|file| Box::new(BufReader::new(file)) as _);
        let recorded = recorded.and_then(lines).map_err(|error| format!("{answers}: {error}"))?;
        let summary = compare::compare(settings, &lines(input).map_err(failed)?, &recorded)?;
        for difference in &summary.differences {
            println!("{difference}");
        }
        println!(
            "{} sequences, {} answers compared, {} differ",
            summary.sequences,
            summary.answers,
            summary.differences.len()
        );
        return Ok(summary.differences.is_empty());
    }
    let mut output = BufWriter::new(io::stdout().lock());
    let mut driver = Driver::new(settings)?;
    for (at, line) in input.lines().enumerate() {
        let line = line.map_err(failed)?;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match driver.run(line) {
            Ok(answer) => match writeln!(output, "{answer}") {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(true),
                done => done.map_err(failed)?,
            },
            Err(message) => {
                // What was answered until here is still worth something.
                output.flush().map_err(failed)?;
                return Err(format!("{file}, line {}: {message}", at + 1));
            }
        }
    }
    output.flush().map_err(failed)?;
    Ok(true)
}
