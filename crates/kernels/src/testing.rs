//! Conformance of an [`OperatorLaw`] to its laws.
//!
//! ```
//! use sglsim_kernels::operator::MatrixFormat;
//! use sglsim_kernels::operator::gemm::{Gemm, TiledRoofline};
//! use sglsim_kernels::testing;
//!
//! testing::conformance(&TiledRoofline, &["m"], |sizes| Gemm {
//!     m: sizes[0].clone(),
//!     n: sizes[0].context().constant(4096),
//!     k: sizes[0].context().constant(4096),
//!     format: MatrixFormat::Bf16,
//!     bytes_per_weight: 2.0,
//!     bytes_per_input: 2.0,
//! });
//! ```

use sglsim_expr::{Context, Evaluator, Expr, Symbol};
use sglsim_hw::{Gpu, Topology};

use crate::operator::OperatorLaw;
use crate::{Coefficients, Hardware};

/// Values that each size takes: none, little, both sides of a tile, much.
const SIZES: [f64; 9] = [0.0, 1.0, 2.0, 63.0, 64.0, 65.0, 1000.0, 8192.0, 131_072.0];

/// Checks that a law obeys [`OperatorLaw`] for the calls that `call` makes of the named `sizes`.
///
/// `sizes` are what measures the work of a call, such as rows or sequences; dimensions that are
/// never zero are constants of `call`'s choice. On every GPU preset: the law is a valid
/// expression, its time is finite and not negative, zero if all sizes are zero, and never shorter
/// if one size grows, or if a bandwidth, a peak rate or a share of one falls.
///
/// # Panics
///
/// If it does not, with the sizes at which it does not.
pub fn conformance<Call>(
    law: &dyn OperatorLaw<Call>,
    sizes: &[&str],
    call: impl Fn(&[Expr]) -> Call,
) {
    for gpu in Gpu::names() {
        let topology = Gpu::preset(gpu).and_then(Topology::of).expect("a preset");
        let cx = Context::new();
        let theta = Coefficients::for_architecture(topology.gpu().architecture);
        let (on, values) = Hardware::of(&cx, "", &topology, &theta).expect("defaults are valid");
        let symbols: Vec<Expr> = sizes
            .iter()
            .map(|name| cx.symbol(Symbol::int(*name).non_negative()))
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("sizes {sizes:?}: {error}"));
        let call = call(&symbols);
        let mut time = law.time(&call, &on);
        if let Some(feasible) = law.feasible(&call, &on) {
            // Where the kernel cannot be used its time does not matter.
            time = sglsim_expr::piecewise([(feasible, time)], 0);
            grid(&time.bind(&values), sizes, |_, seconds| valid(law, sizes, seconds));
            continue;
        }
        let mut base = program(law, &time.bind(&values), sizes);
        grid(&time.bind(&values), sizes, |at, seconds| {
            valid(law, sizes, seconds);
            assert!(
                seconds == 0.0 || at.iter().any(|size| *size > 0.0),
                "`{}` takes {seconds} s for no work",
                law.name()
            );
            for (which, name) in sizes.iter().enumerate() {
                let Some(more) = SIZES.iter().copied().find(|size| *size > at[which]) else {
                    continue;
                };
                let mut larger = at.to_vec();
                larger[which] = more;
                let longer = base.eval1(&larger);
                assert!(
                    longer >= seconds * (1.0 - 1e-12),
                    "`{}` takes {seconds} s at {sizes:?} = {at:?}, but {longer} s at {name} = {more}",
                    law.name()
                );
            }
        });
        for name in values.names() {
            let is_rate = name.ends_with("bandwidth") || name.starts_with("peak_flops");
            if !is_rate && !name.contains("efficiency") {
                continue;
            }
            let half = values.get(name).unwrap_or_default() / 2.0;
            let mut slow = program(law, &time.bind(&values.clone().with(name, half)), sizes);
            grid(&time.bind(&values), sizes, |at, seconds| {
                let slower = slow.eval1(at);
                assert!(
                    slower >= seconds * (1.0 - 1e-12),
                    "`{}` at {sizes:?} = {at:?} takes {slower} s with half of {name}, {seconds} s with all",
                    law.name()
                );
            });
        }
    }
}

fn program<Call>(law: &dyn OperatorLaw<Call>, time: &Expr, sizes: &[&str]) -> Evaluator {
    match time.compile(sizes) {
        Ok(program) => program.evaluator(),
        Err(error) => panic!("`{}` is not a law of {sizes:?}: {error}", law.name()),
    }
}

fn valid<Call>(law: &dyn OperatorLaw<Call>, sizes: &[&str], seconds: f64) {
    assert!(
        seconds.is_finite() && seconds >= 0.0,
        "`{}` takes {seconds} s for some {sizes:?}",
        law.name()
    );
}

/// Visits each size alone and all together, at every value, with the time there.
fn grid(time: &Expr, sizes: &[&str], mut visit: impl FnMut(&[f64], f64)) {
    let mut evaluator = match time.compile(sizes) {
        Ok(program) => program.evaluator(),
        Err(error) => panic!("not a law of {sizes:?}: {error}"),
    };
    for value in SIZES {
        for rest in [0.0, 1.0, 1000.0, value] {
            for which in 0..sizes.len() {
                let mut at = vec![rest; sizes.len()];
                at[which] = value;
                let seconds = evaluator.eval1(&at);
                visit(&at, seconds);
            }
        }
    }
}
