//! What must hold of any expression at any point: shared by the tests and by `examples/fuzz.rs`.

use std::collections::BTreeMap;

use sglsim_expr::{Context, Evaluator, Expr, Interval, IntervalEvaluator, Limits, Program, Values};

use crate::{plain, random};

/// How often each law was looked at.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// A script, and points to run it at.
pub(crate) type Case = (Vec<(u8, u8, u8)>, Vec<[f64; 5]>);

const BATCH: &str = "batch = tape, bit for bit";
const POINT: &str = "tape inside the interval of its point";
const PLAIN: &str = "values by plain arithmetic";
const SIMPLER: &str = "simplified = original";
const BOUND: &str = "bound = unbound";
const READ: &str = "JSON read back";
const TEXT: &str = "parse(print(e)) = e";
const SLOPE: &str = "gradient = num-dual";
const BOX: &str = "tape inside the interval of its box";
const KEPT: &str = "contraction keeps what reaches the target";
const MANY: &str = "tape inside the interval, 10^4 points a box";
const LEFT: &str = "contraction keeps all of 10^4 points";

/// One expression compiled, with what evaluates it.
struct Form {
    expr: Expr,
    scalar: Evaluator,
    bounds: IntervalEvaluator,
}

impl Form {
    fn of(expr: Expr) -> Result<Form, String> {
        let program = expr.compile(&random::NAMES).map_err(|error| format!("{error}: {expr}"))?;
        Ok(Form { scalar: program.evaluator(), bounds: program.intervals(), expr })
    }

    fn at(&mut self, point: &[f64; 5]) -> Interval {
        self.bounds.eval1(&point.map(Interval::point))
    }

    /// Whether it may have the same real value as another form, `bound`; and whether it has a
    /// value at all where rounding decides nothing.
    fn agrees(&mut self, point: &[f64; 5], bound: Interval, sure: bool) -> Result<(), String> {
        let own = self.at(point);
        // Where rounding makes a guard true that is not, only one of them has a value.
        let both = own.lo <= own.hi && bound.lo <= bound.hi;
        if (sure || both) && (own.hi < bound.lo || bound.hi < own.lo) {
            return Err(format!("{}\nis in {own:?}, not in {bound:?}", self.expr));
        }
        match self.scalar.evaluate(point) {
            Err(error) if sure => Err(format!("{}\n{error}", self.expr)),
            _ => Ok(()),
        }
    }
}

/// Checks every law; an error says which one fails, where, and for what expression.
pub(crate) fn check((script, points): &Case, counts: &mut Counts) -> Result<(), String> {
    let symbols = random::Symbols::new();
    let expr = random::build_of(random::ALL, &symbols, script);
    let text = expr.to_string();
    laws(script, points, &expr, counts)
        .map_err(|reason| format!("{reason}\nexpression: {text}\nscript: {script:?}"))
}

fn laws(
    script: &[(u8, u8, u8)],
    points: &[[f64; 5]],
    expr: &Expr,
    counts: &mut Counts,
) -> Result<(), String> {
    let program = expr.compile(&random::NAMES).map_err(|error| error.to_string())?;
    let mut original = Form::of(expr.clone())?;
    let simplified = expr.simplify(&Limits { nodes: 1000, iterations: 6 });
    let json = expr.to_json().map_err(|error| error.to_string())?;
    let read = Expr::from_json(&Context::new(), &json).map_err(|error| error.to_string())?;
    if read.to_json().map_err(|error| error.to_string())? != json {
        return Err(format!("{READ}: the document differs"));
    }
    let text = expr.to_text().map_err(|error| error.to_string())?;
    match expr.context().parse(&text) {
        Ok(again) if again == *expr => count(counts, TEXT, 1),
        Ok(again) => return Err(format!("{TEXT}: {again}\nfrom {text}")),
        Err(problems) => return Err(format!("{TEXT}: {problems}")),
    }
    let mut forms = [(SIMPLER, Form::of(simplified.expr)?), (READ, Form::of(read)?)];
    let mut gradient = program.gradient();
    let values: Vec<f64> = points.iter().map(|point| original.scalar.eval1(point)).collect();
    batch(&program, points, &values)?;
    count(counts, BATCH, points.len());
    for (position, (point, value)) in points.iter().zip(&values).enumerate() {
        let bound = original.at(point);
        let by = position % 3;
        let want = plain::run(script, point, by);
        let sure = want.is_some_and(|want| !want.tie);
        if original.scalar.evaluate(point).is_ok() {
            if !bound.contains(*value) {
                return Err(format!("{POINT}: {value} outside of {bound:?} at {point:?}"));
            }
            count(counts, POINT, 1);
            for (law, form) in &mut forms {
                form.agrees(point, bound, sure)
                    .map_err(|reason| format!("{law}: at {point:?}\n{reason}"))?;
                count(counts, law, 1);
            }
            if position % 8 == 0 {
                let fixed = Values::from([("N", point[3]), ("k", point[4])]);
                Form::of(expr.bind(&fixed))?
                    .agrees(point, bound, sure)
                    .map_err(|reason| format!("{BOUND}: at {point:?}\n{reason}"))?;
                count(counts, BOUND, 1);
            }
        }
        let Some(want) = want else { continue };
        let apart = bound.lo > want.value + want.error || bound.hi < want.value - want.error;
        if apart {
            let (plain, error) = (want.value, want.error);
            return Err(format!("{PLAIN}: {bound:?} without {plain} ± {error} at {point:?}"));
        }
        count(counts, PLAIN, 1);
        let mut slopes = [0.0; 5];
        gradient.eval(point, &mut slopes);
        // What cancels leaves rounding noise of what it was.
        let digits = 1e-7 * (want.slope + want.derivative.abs()) + 1e-11 * want.largest;
        let precise = want.error <= 1e-9 * want.value.abs().max(1.0) && digits.is_finite();
        if !want.tie && precise && value.is_finite() {
            let (got, want) = (slopes[by], want.derivative);
            // Not a number in both, or a number in both.
            if (got - want).abs() > digits || got.is_nan() != want.is_nan() {
                let name = random::NAMES[by];
                return Err(format!("{SLOPE}: {got}, not {want}, by {name} at {point:?}"));
            }
            count(counts, SLOPE, 1);
        }
    }
    boxes(&mut original, points, &values, counts)?;
    whole_box(&program, points, counts)
}

fn batch(program: &Program, points: &[[f64; 5]], values: &[f64]) -> Result<(), String> {
    let columns: [Vec<f64>; 5] =
        std::array::from_fn(|input| points.iter().map(|point| point[input]).collect());
    let mut got = vec![0.0; points.len()];
    program.batch().eval(&columns.each_ref().map(Vec::as_slice), &mut [&mut got]);
    let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    match got.iter().zip(values).position(|pair| !same(pair)) {
        Some(at) => Err(format!("{BATCH}: {} and {} at {:?}", got[at], values[at], points[at])),
        None => Ok(()),
    }
}

/// The smallest box around some of the points holds their values, and keeps those of a target.
fn boxes(
    form: &mut Form,
    points: &[[f64; 5]],
    values: &[f64],
    counts: &mut Counts,
) -> Result<(), String> {
    for size in [2, 5, points.len()] {
        let (points, values) =
            (&points[..size.min(points.len())], &values[..size.min(points.len())]);
        let sides = span(points);
        let bound = form.bounds.eval1(&sides);
        let finite = || points.iter().zip(values).filter(|(_, value)| value.is_finite());
        for (point, value) in finite() {
            if !bound.contains(*value) {
                return Err(format!(
                    "{BOX}: {value} at {point:?} outside of {bound:?} over {sides:?}"
                ));
            }
            count(counts, BOX, 1);
        }
        let mut sorted: Vec<f64> = finite().map(|(_, value)| *value).collect();
        sorted.sort_by(f64::total_cmp);
        let Some(middle) = sorted.get(sorted.len() / 2) else { continue };
        for target in [
            Interval::new(*middle, f64::INFINITY),
            Interval::new(sorted[0], *middle),
            Interval::point(*middle),
        ] {
            let mut left = sides;
            let kept = form.bounds.contract(&mut left, &[target]);
            for (point, value) in finite().filter(|(_, value)| target.contains(**value)) {
                if !kept || left.iter().zip(point).any(|(side, x)| !side.contains(*x)) {
                    return Err(format!(
                        "{KEPT}: {value} at {point:?} in {target:?}, lost from {sides:?}: {kept}, {left:?}"
                    ));
                }
                count(counts, KEPT, 1);
            }
        }
    }
    Ok(())
}

/// 10⁴ points of the box that the given ones span.
fn whole_box(program: &Program, points: &[[f64; 5]], counts: &mut Counts) -> Result<(), String> {
    const POINTS: usize = 10_000;
    let sides = span(points);
    // Steps of a generator of Lehmer's, modulus 2³¹ − 1 (Park and Miller 1988).
    let mut state = points[0][0].to_bits() % 0x7fff_fffe + 1;
    let mut share = || {
        state = state * 48_271 % 0x7fff_ffff;
        state as f64 / f64::from(0x7fff_fffe)
    };
    let columns: [Vec<f64>; 5] = std::array::from_fn(|input| {
        let Interval { lo, hi } = sides[input];
        let whole = input >= 3;
        let draw = |_| {
            let x = (lo + share() * (hi - lo)).clamp(lo, hi);
            if whole { x.round() } else { x }
        };
        (0..POINTS).map(draw).collect()
    });
    let mut values = vec![0.0; POINTS];
    program.batch().eval(&columns.each_ref().map(Vec::as_slice), &mut [&mut values]);
    let point = |at: usize| -> [f64; 5] { std::array::from_fn(|input| columns[input][at]) };
    let mut bounds = program.intervals();
    let bound = bounds.eval1(&sides);
    let finite: Vec<usize> = (0..POINTS).filter(|at| values[*at].is_finite()).collect();
    if let Some(at) = finite.iter().find(|at| !bound.contains(values[**at])) {
        let (value, point) = (values[*at], point(*at));
        return Err(format!("{MANY}: {value} at {point:?} outside of {bound:?} over {sides:?}"));
    }
    count(counts, MANY, finite.len());
    let Some(middle) = finite.get(finite.len() / 2).map(|at| values[*at]) else { return Ok(()) };
    let target = Interval::new(middle, f64::INFINITY);
    let mut left = sides;
    let kept = bounds.contract(&mut left, &[target]);
    for at in finite.into_iter().filter(|at| values[*at] >= middle) {
        let point = point(at);
        if !kept || left.iter().zip(point).any(|(side, x)| !side.contains(x)) {
            let value = values[at];
            return Err(format!(
                "{LEFT}: {value} at {point:?} lost from {sides:?}: {kept}, {left:?}"
            ));
        }
        count(counts, LEFT, 1);
    }
    Ok(())
}

/// The smallest box around points.
fn span(points: &[[f64; 5]]) -> [Interval; 5] {
    std::array::from_fn(|input| {
        let side = points.iter().map(|point| point[input]);
        let (lo, hi) = (side.clone().fold(f64::INFINITY, f64::min), side);
        Interval::new(lo, hi.fold(f64::NEG_INFINITY, f64::max))
    })
}

fn count(counts: &mut Counts, law: &'static str, by: usize) {
    *counts.entry(law).or_default() += by as u64;
}
