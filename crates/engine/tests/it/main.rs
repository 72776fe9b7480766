//! Integration tests of `sglsim-engine`.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]
#![expect(clippy::print_stdout, reason = "tests say what they skipped and measured")]

mod allocations;
mod alone;
mod bad_input;
mod experts;
mod fabric;
mod faults;
mod files;
mod hicache;
mod laws;
mod lockstep;
mod naive;
mod oracle;
mod pipeline;
mod plan;
mod plugins;
mod recorded;
mod report;
mod scaling;
mod scenarios;
mod schedulers;
mod shares;
mod slo;
mod speculation;
mod timeline;
mod vidur;
mod vllm_bench;
mod watch;
