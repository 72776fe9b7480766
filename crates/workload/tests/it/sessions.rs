//! Traces of conversations: turns follow the end of the turn that they continue.

use std::io::Write;

use sglsim_radix::Span;
use sglsim_units::{RequestId, Seconds};
use sglsim_workload::{
    Finished, ReplayOptions, Trace, TraceFormat, Workload, WorkloadError, output_content, testing,
};

fn trace(lines: &str) -> Result<Trace, WorkloadError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    Trace::read(file.path(), TraceFormat::Auto, None)
}

/// Two conversations; the second turn of `a` is continued twice, as by an agent and its helper.
const LINES: &str = r#"
{"session_id": "a", "timestamp": 500, "input_length": 100, "output_length": 10}
{"session_id": "b", "timestamp": 1500, "input_length": 40, "output_length": 4}
{"session_id": "a", "delay": 2000, "input_length": 30, "output_length": 20}
{"session_id": "a", "delay": 0, "input_length": 7, "output_length": 5}
{"session_id": "a", "turn": 3, "parent": 1, "delay": 1000, "input_length": 8, "output_length": 6}
{"session_id": "b", "delay": 250, "input_length": 50, "output_length": 3}
"#;

fn one_second(_: &sglsim_workload::Request) -> Seconds {
    Seconds::new(1.0).unwrap()
}

#[test]
fn a_turn_says_what_was_said_and_comes_after_its_delay() {
    let trace = trace(LINES.trim_start()).unwrap();
    let served = testing::serve(
        &mut trace.replay(&ReplayOptions::default()).unwrap(),
        usize::MAX,
        one_second,
    );
    let told: Vec<(f64, u64, u32)> = (served.requests.iter())
        .map(|request| (request.arrival.seconds(), request.prompt.tokens(), request.output_len))
        .collect();
    let (a0, a1) = (100 + 10, 100 + 10 + 30 + 20);
    assert_eq!(
        told,
        [
            (0.0, 100, 10),
            (1.0, 40, 4),
            (2.25, 40 + 4 + 50, 3),
            (3.0, a0 + 30, 20),
            (4.0, a1 + 7, 5),
            (5.0, a1 + 8, 6),
        ]
    );
    // The prompt repeats the answers, so that a cache that kept them hits.
    let [first, second, helper] = [0, 3, 5].map(|at| served.requests[at].prompt.elements());
    assert_eq!(second[..1], first[..1]);
    assert_eq!(second[1], Span::new(output_content(RequestId(0)), 10));
    assert_eq!(helper[..3], second[..3]);
    assert_eq!(helper[3], Span::new(output_content(RequestId(3)), 20));
}

#[test]
fn replays_of_conversations_keep_the_laws_of_workloads() {
    let trace = trace(LINES.trim_start()).unwrap();
    for options in [
        ReplayOptions::default(),
        ReplayOptions { speed: 3.0, ..ReplayOptions::default() },
        ReplayOptions { limit: Some(4), ..ReplayOptions::default() },
        ReplayOptions { max_new_tokens: Some(64), ..ReplayOptions::default() },
    ] {
        testing::conformance(|| Box::new(trace.replay(&options).unwrap()));
    }
}

#[test]
fn a_conversation_ends_with_a_turn_that_was_not_answered() {
    let trace = trace(LINES.trim_start()).unwrap();
    let mut replay = trace.replay(&ReplayOptions::default()).unwrap();
    let first = replay.pop().unwrap();
    replay.on_finished(&Finished { id: first.id, at: first.arrival, output_len: 0 });
    let mut rest = 0;
    while let Some(request) = replay.pop() {
        let (id, at, output_len) = (request.id, request.arrival, request.output_len);
        replay.on_finished(&Finished { id, at, output_len });
        rest += 1;
    }
    assert_eq!(rest, 2, "only the other conversation goes on");
}

#[test]
fn blocks_of_a_prompt_are_shared_between_conversations() {
    let lines = r#"{"session_id": 1, "timestamp": 0, "input_length": 600, "output_length": 1, "hash_ids": [7, 8]}
{"session_id": 2, "timestamp": 0, "input_length": 600, "output_length": 1, "hash_ids": [7, 9]}
"#;
    let mut replay = trace(lines).unwrap().replay(&ReplayOptions::default()).unwrap();
    let [one, two] = [replay.pop().unwrap(), replay.pop().unwrap()];
    assert_eq!(one.prompt.elements()[0], Span::new(7, 512));
    assert_eq!(one.prompt.elements()[0], two.prompt.elements()[0]);
    assert_ne!(one.prompt.elements()[1], two.prompt.elements()[1]);
}

#[test]
fn what_is_no_conversation_is_refused_with_its_line() {
    let first = r#"{"session_id": "a", "timestamp": 0, "input_length": 100, "output_length": 10}"#;
    let turn = |fields: &str| {
        format!(
            "{first}\n{{\"session_id\": \"a\", {fields}\"input_length\": 1, \"output_length\": 1}}\n"
        )
    };
    for (lines, line, message) in [
        (
            turn("\"turn\": 2, \"delay\": 0, "),
            2,
            "turn 2 of session `a` continues turn 1, which is not there (there are: 0)",
        ),
        (
            turn("\"parent\": 7, \"delay\": 0, "),
            2,
            "turn 1 of session `a` continues turn 7, which is not there (there are: 0)",
        ),
        (
            first.replace("\"timestamp\": 0", "\"turn\": 1, \"delay\": 3"),
            1,
            "turn 1 of session `a` continues turn 0, which is not there (there are: none)",
        ),
        (
            turn("\"turn\": 0, \"delay\": 0, "),
            2,
            "`turn` is `0 of session a`, which an earlier line has already",
        ),
        (turn("\"delay\": -1, "), 2, "`delay` is -1, allowed is a number of ms, not negative"),
        (turn("\"turn\": -1, "), 2, "`turn` is -1, allowed is a whole number, from 0"),
        (
            turn("\"timestamp\": 9, "),
            2,
            "there is no `delay` (there are: input_length, output_length, session_id, timestamp)",
        ),
        (
            format!("{}\n{}", first.replace(": 0,", ": 9,"), first.replace("\"a\"", "\"b\"")),
            2,
            "`timestamp` is 0, allowed is not earlier than the line before, 0 s after the first request",
        ),
    ] {
        let Err(WorkloadError::Trace(error)) = trace(&lines) else { panic!("{lines}") };
        assert_eq!((error.line(), error.kind().to_string().as_str()), (Some(line), message));
    }
}
