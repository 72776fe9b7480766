//! Every bad input gets one clear error, exit code 1, and no report.

use std::fmt::Write;
use std::io::Write as _;

use crate::program::{Folder, sglsim};

const TRACE: &str = "\
{\"timestamp\": 0, \"input_length\": 600, \"output_length\": 20, \"hash_ids\": [0, 1]}
{\"timestamp\": 0, \"input_length\": 700, \"output_length\": 30, \"hash_ids\": [0, 2]}
{\"timestamp\": 3000, \"input_length\": 512, \"output_length\": 5, \"hash_ids\": [0]}
";

/// Collects what the program says to bad input.
struct Errors {
    folder: Folder,
    text: String,
}

impl Errors {
    fn new() -> Self {
        Self { folder: Folder::new(), text: String::new() }
    }

    /// Runs `sglsim run` with `args` and expects it to fail.
    #[track_caller]
    fn run(&mut self, args: &[&str]) {
        let args = [&["run"], args, &["--out", "report"]].concat();
        let before = self.folder.names(".");
        let answer = sglsim(self.folder.path(), &args);
        let shown = args[..args.len() - 2].join(" ");
        assert_eq!((answer.code, answer.stdout.as_str()), (1, ""), "{shown}: {answer:?}");
        assert!(answer.stderr.starts_with("error: "), "{shown}: {}", answer.stderr);
        assert_eq!(self.folder.names("."), before, "{shown} leaves something behind");
        let message = self.folder.redact(&answer.stderr);
        write!(self.text, "$ sglsim {shown}\n{message}\n").unwrap();
    }

    /// Runs the small scenario with something replaced in its text.
    #[track_caller]
    fn scenario(&mut self, from: &str, to: &str) {
        let text = self.folder.read("scenario.ron");
        assert!(text.contains(from), "`{from}` is in the scenario");
        self.folder.write("bad.ron", text.replacen(from, to, 1));
        writeln!(self.text, "# {from} -> {to}").unwrap();
        self.run(&["bad.ron"]);
    }

    #[track_caller]
    fn set(&mut self, change: &str) {
        self.run(&["scenario.ron", "--set", change]);
    }

    /// Runs the small scenario on a trace.
    #[track_caller]
    fn trace(&mut self, name: &str, content: impl AsRef<[u8]>) {
        self.folder.write(name, content);
        self.run(&["scenario.ron", "--trace", name]);
    }
}

#[test]
fn scenarios() {
    let mut errors = Errors::new();
    errors.scenario("model:", "modle:");
    errors.scenario("prefill: (workers: 1)", "prefill: (wrokers: 1)");
    errors.scenario("Poisson", "Poison");
    errors.scenario("Llama-3.1-8B", "Llama-3.1-9B");
    errors.scenario("H100-SXM", "H300-SXM");
    errors.scenario("rate: 5.0", "rate: -5.0");
    errors.scenario("rate: 5.0", "rate: NaN");
    errors.scenario("rate: 5.0", "rate: inf");
    errors.scenario("mean: 1000", "mean: -1000");
    errors.scenario("(workers: 1)", "(workers: 0)");
    errors.scenario("(workers: 1)", "(tp_size: 3)");
    errors.scenario("Llama-3.1-8B", "Llama-3.1-405B");
    errors.scenario("(workers: 1)", "(max_total_tokens: 1000)");
    errors.scenario("requests: 40,", "");
    errors.scenario("    model: \"Llama-3.1-8B\",\n", "");
    errors.scenario("),\n)", "");
    insta::assert_snapshot!("bad_scenarios", errors.text);
}

#[test]
fn files() {
    let mut errors = Errors::new();
    errors.run(&["scenaro.ron"]);
    errors.run(&["."]);
    errors.folder.write("binary.ron", [0xff, 0x00, 0x80]);
    errors.run(&["binary.ron"]);
    errors.folder.write("empty.ron", "");
    errors.run(&["empty.ron"]);
    errors.run(&["scenario.ron", "--trace", "nowhere.jsonl"]);
    errors.run(&["scenario.ron", "--trace", "."]);
    errors.scenario("Llama-3.1-8B", "nowhere/config.json");
    insta::assert_snapshot!("bad_files", errors.text);
}

#[test]
fn changes() {
    let mut errors = Errors::new();
    errors.set("deployment.decode.wrokers=2");
    errors.set("deployment.decode.workers");
    errors.set("deployment.decode.workers=two");
    errors.set("deployment.decode.workers=-1");
    errors.set("deployment.prefill.schedule_policy=lmp");
    errors.set("deployment.prefill.hardware.gpu=H200");
    errors.set("router.policy=RoundRobbin");
    errors.set("router.policy=CacheAware(cache_treshold: 0.5)");
    errors.set("workload.arrivals.rate=NaN");
    errors.set("workload.input_len=Fixed(2000");
    errors.set("coefficients.flops_eficiency=0.5");
    insta::assert_snapshot!("bad_changes", errors.text);
}

#[test]
fn traces() {
    let mut errors = Errors::new();
    let with = |from: &str, to: &str| {
        assert!(TRACE.contains(from), "`{from}` is in the trace");
        TRACE.replacen(from, to, 1)
    };
    errors.trace("empty.jsonl", "");
    errors.trace("blank.jsonl", "\n\n");
    errors.trace("truncated.jsonl", &TRACE[..TRACE.len() - 30]);
    errors.trace("negative.jsonl", with("\"output_length\": 30", "\"output_length\": -30"));
    errors.trace("nan.jsonl", with("\"output_length\": 30", "\"output_length\": NaN"));
    errors.trace("zero.jsonl", with("\"input_length\": 700", "\"input_length\": 0"));
    errors.trace("typo.jsonl", with("\"output_length\": 30", "\"output_lenght\": 30"));
    errors.trace("blocks.jsonl", with("[0, 2]", "[0, 2, 3]"));
    errors.trace("back.jsonl", with("\"timestamp\": 0", "\"timestamp\": 10"));
    errors.trace("words.txt", "not a trace\n");
    errors.trace("binary.jsonl", [0xff, 0x00, 0x80]);
    errors.trace("cells.csv", "arrival_s,input_length,output_length\n0,100,7\n1,100\n");
    errors.trace("header.csv", "arrival_s,input_lenght,output_length\n0,100,7\n");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let line = TRACE.lines().next().unwrap().to_owned() + "\n";
    gzip.write_all(line.repeat(50).as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    errors.trace("cut.jsonl.gz", &gzip[..gzip.len() - 12]);
    errors.trace(
        "long.jsonl",
        with(
            "\"input_length\": 512, \"output_length\": 5, \"hash_ids\": [0]",
            "\"input_length\": 200000, \"output_length\": 5, \"hash_ids\": [0]",
        )
        .replace("[0]", &format!("{:?}", (0..200_000_u32.div_ceil(512)).collect::<Vec<_>>())),
    );
    insta::assert_snapshot!("bad_traces", errors.text);
}

#[test]
fn places_for_a_report() {
    let folder = Folder::new();
    folder.write("file", "mine");
    let mut text = String::new();
    for out in ["file", "file/below", "/proc/nowhere"] {
        if out.starts_with("/proc") && !cfg!(target_os = "linux") {
            continue;
        }
        let answer = sglsim(folder.path(), &["run", "scenario.ron", "--out", out]);
        assert_eq!((answer.code, answer.stdout.as_str()), (1, ""), "{out}: {answer:?}");
        write!(text, "$ sglsim run scenario.ron --out {out}\n{}\n", folder.redact(&answer.stderr))
            .unwrap();
    }
    assert_eq!(folder.read("file"), "mine");
    assert_eq!(folder.names("."), ["file", "scenario.ron"]);
    if cfg!(target_os = "linux") {
        insta::assert_snapshot!("bad_out", text);
    }
}
