//! `sglsim calibrate operators`.

use sglsim_calibrate::{Argument, Kind, Operator};

use crate::failure::Failure;
use crate::output;
use crate::table::{table, text};

pub(crate) fn run() -> Result<(), Failure> {
    let mut out = String::new();
    for operator in Operator::all() {
        out.push_str(&format!("{}: {}\n", operator.name, operator.doc));
        let mut rows = table(
            &["argument", "kind", "default", "meaning"],
            &["argument", "kind", "default", "meaning"],
        );
        for Argument { name, kind, default, doc, .. } in operator.arguments {
            let kind = match kind {
                Kind::Word => "word",
                Kind::Data => "data, with a unit",
                _ => "number",
            };
            rows.add_row([name, &kind, &default.unwrap_or_default(), doc]);
        }
        out.push_str(&text(&rows));
        out.push('\n');
    }
    out.push_str("Times always have a unit, such as [us]. See docs/guide/calibrate.md.\n");
    output::print(&out)
}
