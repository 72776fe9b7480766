//! Kernels that read and write every element once.

use sglsim_expr::Expr;
use sglsim_kernels::operator::elementwise::Elementwise;

use super::{Call, Operator, count, data, word};

pub(super) const ELEMENTWISE: Operator = Operator {
    name: "elementwise",
    doc: "norm, activation, rotary embedding, copy",
    arguments: &[
        count("rows", "rows [token]"),
        data("bytes_per_row", "read and written per row [B]"),
        word("dtype", "'bf16'", "number format"),
        word("kernel", "'elementwise'", "kernel"),
    ],
    shapes: &[&["bytes_per_row"]],
    law: elementwise,
};

fn elementwise(call: &Call<'_>) -> Result<Expr, String> {
    let it = Elementwise {
        rows: call.count("rows"),
        bytes_per_row: call.count("bytes_per_row") * call.byte(),
    };
    Ok(call.laws.elementwise.time(&it, call.on))
}
