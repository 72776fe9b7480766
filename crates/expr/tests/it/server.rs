//! A disaggregated server with invented numbers, as an expression and as plain arithmetic.
//!
//! Shaped like the real thing: rooflines, kernels with guards, chunked sums, a power with a
//! variable exponent, rounding, pools that limit each other.

use sglsim_expr::{
    Constraint, Context, Expr, Module, Symbol, Values, ceil, ceil_div, floor_div, max, min, min_of,
    piecewise, pow, sum,
};

pub(crate) struct Server {
    pub(crate) module: Module,
    pub(crate) decode: Expr,
}

pub(crate) struct Reference {
    pub(crate) throughput: f64,
    pub(crate) decode: f64,
}

/// prefill workers, decode workers, chunk, batch tokens, TP, DP, EP
pub(crate) type Point = [f64; 7];

pub(crate) const KNOBS: [&str; 7] = ["np", "nd", "chunk", "batch_tokens", "tp", "dp", "ep"];

pub(crate) const POINTS: [Point; 6] = [
    [6.0, 2.0, 3584.0, 544_768.0, 1.0, 32.0, 32.0],
    [1.0, 1.0, 128.0, 4096.0, 1.0, 1.0, 1.0],
    [3.0, 5.0, 512.0, 65_536.0, 8.0, 2.0, 16.0],
    [4.0, 4.0, 3456.0, 425_984.0, 2.0, 16.0, 32.0],
    [64.0, 64.0, 8192.0, 1_048_576.0, 16.0, 32.0, 64.0],
    [10.0, 6.0, 1408.0, 307_200.0, 1.0, 16.0, 16.0],
];

const LAYERS: f64 = 60.0;
const INPUT: f64 = 3000.0;
const OUTPUT: f64 = 700.0;
const DENSE: f64 = 8e7;
const EXPERT: f64 = 4e7;
const KV: f64 = 1152.0;

/// Units of the parameters.
const UNITS: [&str; 6] = ["FLOP/s", "B/s", "B/s", "B/s", "1", "s"];

const PARAMETERS: [(&str, f64); 6] = [
    ("peak", 9.9e14),
    ("hbm", 3.35e12),
    ("nvlink", 4e11),
    ("nic", 4.5e10),
    ("efficiency", 0.62),
    ("overhead", 1.8e-4),
];

pub(crate) fn values(point: &Point) -> Values {
    let knobs = KNOBS.iter().zip(point).map(|(name, value)| (*name, *value));
    knobs.chain(PARAMETERS).collect()
}

struct Law {
    knobs: Vec<Expr>,
    parameters: Vec<Expr>,
}

pub(crate) fn build() -> Server {
    let cx = Context::new();
    let symbol = |s: Symbol| cx.symbol(s).unwrap();
    let knobs: Vec<Expr> =
        KNOBS.iter().map(|n| symbol(Symbol::int(*n).at_least(1.0).at_most(2e6))).collect();
    let parameters: Vec<Expr> = PARAMETERS
        .iter()
        .zip(UNITS)
        .map(|((name, _), unit)| symbol(Symbol::real(*name).positive().unit(unit)))
        .collect();
    let law = Law { knobs, parameters };
    let [np, nd, chunk, batch_tokens, tp, dp, ep] = &law.knobs[..] else { unreachable!() };
    let (i, j) = (cx.index("i"), cx.index("j"));
    let chunks = ceil_div(INPUT as u32, chunk).named("chunks", "1", "prefill chunks");
    let m = min(chunk, INPUT as u32 - (&i - 1) * chunk);
    let prefill = sum(&i, 1, &chunks, law.prefill_step(&m, &((&i - 1) * chunk + &m))).named(
        "prefill",
        "s",
        "prefill time",
    );
    let batch = min(512, floor_div(batch_tokens, 3700)).named("batch", "1", "decode batch");
    let gemm = law.decode_gemm(&batch);
    let decode = sum(&j, 1, OUTPUT as u32, law.decode_step(&batch, &gemm, &(&j + INPUT as u32)))
        .named("decode", "s", "decode time");
    let rates = [
        np * dp / &prefill,
        nd * dp * &batch / &decode,
        min(np, nd) * &law.parameters[3] / (KV * LAYERS * INPUT),
    ];
    let memory = law.weights() * LAYERS + &batch * (KV * LAYERS * 3700.0);
    let module = Module::new("server", "throughput", OUTPUT as u32 * min_of(&rates))
        .constraint(Constraint::new("batch", batch.ge(1), "at least one request"))
        .constraint(Constraint::new("memory", memory.le(7.2e10), "fits"))
        .constraint(Constraint::new("gpus", ((np + nd) * tp * dp).le(256), "GPUs there are"))
        .constraint(Constraint::new("ranks", ep.le(tp * dp), "ranks for experts"))
        .constraint(Constraint::new("ttft", prefill.le(2.5), "first token in time"))
        .values(&values(&POINTS[0]));
    let module = law.knobs.iter().fold(module, |module, knob| module.variable(knob));
    Server { module, decode }
}

impl Law {
    fn weights(&self) -> Expr {
        DENSE / &self.knobs[4] + EXPERT * 256.0 / &self.knobs[6]
    }

    fn prefill_step(&self, m: &Expr, context: &Expr) -> Expr {
        let [_, _, _, _, tp, _, _] = &self.knobs[..] else { unreachable!() };
        let [peak, hbm, .., efficiency, overhead] = &self.parameters[..] else { unreachable!() };
        let rows = 128 * ceil(m / 128);
        let gemm = max(
            2.0 * (DENSE + 8.0 * EXPERT) * rows / tp / (peak * efficiency),
            self.weights() / hbm,
        );
        let flops = 65_536 * m * (context - m / 2) / tp;
        let attention = min(
            &flops / (peak * 0.55) + 4e-6,
            piecewise(
                [(tp.le(8).and(&m.ge(128)), &flops / (peak * 0.7) + 9e-6)],
                &flops / (peak * 0.5) + 4e-6,
            ),
        );
        LAYERS * (gemm + attention + self.collectives(m)) + overhead
    }

    fn collectives(&self, rows: &Expr) -> Expr {
        let [_, _, _, _, tp, _, ep] = &self.knobs[..] else { unreachable!() };
        let [_, _, nvlink, nic, ..] = &self.parameters[..] else { unreachable!() };
        let moved = 28_672 * rows * (tp - 1) / tp / nvlink + 1.2e-5;
        let reduce = piecewise([(tp.le(1), 0)], moved);
        let link = piecewise([(ep.le(8), nvlink)], nic);
        let shuffle = 114_688 * rows * (ep - 1) / ep / link + 2.8e-5;
        reduce + piecewise([(ep.gt(1), shuffle)], 0)
    }

    fn decode_gemm(&self, batch: &Expr) -> Expr {
        let [_, _, _, _, tp, dp, ep] = &self.knobs[..] else { unreachable!() };
        let [peak, hbm, .., efficiency, _] = &self.parameters[..] else { unreachable!() };
        let active = 256 * (1 - pow(0.96875, batch * dp));
        max(
            2.0 * (DENSE + 8.0 * EXPERT) * (128 * ceil(batch / 128)) / tp / (peak * efficiency),
            (DENSE / tp + EXPERT * active / ep) / hbm,
        )
    }

    fn decode_step(&self, batch: &Expr, gemm: &Expr, context: &Expr) -> Expr {
        let [_, _, _, _, tp, _, _] = &self.knobs[..] else { unreachable!() };
        let [peak, hbm, .., overhead] = &self.parameters[..] else { unreachable!() };
        let bytes = batch * KV * context;
        let flops = 65_536 * batch * context / tp;
        let kernel = |compute: f64, memory: f64, launch: f64| {
            max(&flops / (peak * compute), &bytes / (hbm * memory)) + launch
        };
        let attention = min(
            kernel(0.3, 0.7, 6e-6),
            piecewise([(batch.le(64), kernel(0.25, 0.9, 1.6e-5))], kernel(0.45, 0.85, 1.1e-5)),
        );
        LAYERS * (gemm + attention + self.collectives(batch)) + overhead
    }
}

/// The same by plain loops.
pub(crate) fn reference(point: &Point) -> Reference {
    let [np, nd, chunk, batch_tokens, tp, dp, ep] = *point;
    let [peak, hbm, nvlink, nic, efficiency, overhead] = PARAMETERS.map(|(_, value)| value);
    let flop = 2.0 * (DENSE + 8.0 * EXPERT);
    let weights = DENSE / tp + EXPERT * 256.0 / ep;
    let collectives = |rows: f64| {
        let reduce =
            if tp <= 1.0 { 0.0 } else { 28_672.0 * rows * (tp - 1.0) / tp / nvlink + 1.2e-5 };
        let link = if ep <= 8.0 { nvlink } else { nic };
        let shuffle =
            if ep > 1.0 { 114_688.0 * rows * (ep - 1.0) / ep / link + 2.8e-5 } else { 0.0 };
        reduce + shuffle
    };
    let mut prefill = 0.0;
    let chunks = (INPUT / chunk).ceil() as u32;
    for i in 0..chunks {
        let m = chunk.min(INPUT - f64::from(i) * chunk);
        let context = f64::from(i) * chunk + m;
        let rows = 128.0 * (m / 128.0).ceil();
        let gemm = (flop * rows / tp / (peak * efficiency)).max(weights / hbm);
        let flops = 65_536.0 * m * (context - m / 2.0) / tp;
        let second = if tp <= 8.0 && m >= 128.0 {
            flops / (peak * 0.7) + 9e-6
        } else {
            flops / (peak * 0.5) + 4e-6
        };
        let attention = (flops / (peak * 0.55) + 4e-6).min(second);
        prefill += LAYERS * (gemm + attention + collectives(m)) + overhead;
    }
    let batch = (batch_tokens / 3700.0).floor().min(512.0);
    let active = 256.0 * (1.0 - 0.96875f64.powf(batch * dp));
    let gemm = (flop * 128.0 * (batch / 128.0).ceil() / tp / (peak * efficiency))
        .max((DENSE / tp + EXPERT * active / ep) / hbm);
    let mut decode = 0.0;
    for j in 1..=OUTPUT as u32 {
        let context = INPUT + f64::from(j);
        let (bytes, flops) = (batch * KV * context, 65_536.0 * batch * context / tp);
        let kernel = |compute: f64, memory: f64, launch: f64| {
            (flops / (peak * compute)).max(bytes / (hbm * memory)) + launch
        };
        let second =
            if batch <= 64.0 { kernel(0.25, 0.9, 1.6e-5) } else { kernel(0.45, 0.85, 1.1e-5) };
        let attention = kernel(0.3, 0.7, 6e-6).min(second);
        decode += LAYERS * (gemm + attention + collectives(batch)) + overhead;
    }
    let rates =
        [np * dp / prefill, nd * dp * batch / decode, np.min(nd) * nic / (KV * LAYERS * INPUT)];
    Reference { throughput: OUTPUT * rates.into_iter().fold(f64::INFINITY, f64::min), decode }
}

#[test]
fn the_expression_agrees_with_plain_loops() {
    let server = build();
    for point in &POINTS {
        let want = reference(point).throughput;
        let got = server.module.evaluate(&values(point)).unwrap();
        assert!((got - want).abs() <= 1e-12 * want.abs(), "{point:?}: {got} instead of {want}");
        let frozen = server.module.objective.bind(&PARAMETERS.into_iter().collect());
        let got = frozen.compile(&KNOBS).unwrap().evaluator().eval1(point);
        assert!((got - want).abs() <= 1e-12 * want.abs(), "{point:?}: {got} instead of {want}");
    }
}
