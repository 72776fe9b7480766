//! `sglsim formula`.

use crate::failure::Failure;
use crate::scenario::ScenarioArguments;

/// Arguments of `formula`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.scenario.prepare().map(|_| ())
}
