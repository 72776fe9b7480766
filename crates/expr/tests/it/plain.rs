//! The random scripts once more, without expressions: plain numbers with what they may be off by,
//! and their derivatives by `num-dual`, which are not ours.

use num_dual::{Dual64, DualNum};

use crate::random::{ALL, TABLE};

/// A number, exact but for an error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain {
    /// Value and derivative by one of the inputs.
    dual: Dual64,
    /// Bound of the rounding error of the value.
    error: f64,
    /// The same sums and products of absolute values as in the derivative: what its digits are of.
    slope: f64,
}

/// What a script computes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) value: f64,
    pub(crate) error: f64,
    pub(crate) derivative: f64,
    pub(crate) slope: f64,
    /// The largest value or slope on the way, at least 1.
    pub(crate) largest: f64,
    /// Whether it passed a kink or a step so closely that another order of rounding may decide
    /// otherwise about derivatives.
    pub(crate) tie: bool,
}

/// A decision that rounding may turn around, or a value that is not defined.
struct Undecided;

type Result<T> = std::result::Result<T, Undecided>;

struct Machine {
    tie: bool,
    inputs: [f64; 5],
}

/// Runs a script at a point, with derivatives by one input; `None` where it is undefined or where
/// rounding decides.
pub(crate) fn run(script: &[(u8, u8, u8)], inputs: &[f64; 5], by: usize) -> Option<Outcome> {
    let mut machine = Machine { tie: false, inputs: *inputs };
    let mut stack: Vec<Plain> = Vec::new();
    for (at, value) in inputs.iter().enumerate() {
        let eps = if at == by { 1.0 } else { 0.0 };
        stack.push(Plain { dual: Dual64::new(*value, eps), error: 0.0, slope: eps });
    }
    for (operation, left, right) in script {
        let pick = |at: u8| stack[stack.len() - 1 - usize::from(at) % stack.len()];
        let (a, b) = (pick(*left), pick(*right));
        let c = pick(left.wrapping_mul(31).wrapping_add(*right));
        let small = i32::from(right % 7) - 3;
        stack.push(machine.step(operation % ALL, [a, b, c], small).ok()?);
    }
    let Plain { dual, error, slope } = *stack.last()?;
    let finite = dual.re.is_finite() && error.is_finite();
    finite.then_some(Outcome {
        value: dual.re,
        error,
        derivative: dual.eps,
        slope,
        largest: stack.iter().map(|x| x.re().abs().max(x.slope)).fold(1.0, f64::max),
        tie: machine.tie,
    })
}

impl Machine {
    fn step(&mut self, operation: u8, [a, b, c]: [Plain; 3], small: i32) -> Result<Plain> {
        let s = Plain::of(f64::from(small));
        let divisor = Plain::of(f64::from(small.abs() + 1));
        Ok(match operation {
            0 | 1 => a.add(b),
            2 => a.sub(b),
            3 | 4 => a.mul(b),
            5 => {
                // Exactly zero, or certainly not.
                if b.error >= b.re().abs() && !(b.error == 0.0) {
                    return Err(Undecided);
                }
                // A closed form may leave a rounding error where a loop has exactly nothing.
                self.tie |= b.re().abs() <= 4.0 * b.error;
                if b.re() == 0.0 { c } else { a.div(b)? }
            }
            6 => a.mul(s).add(Plain::of(1.0)),
            7 => a.mul(Plain::of(f64::from(small) * 0.37)),
            8 => a.div(divisor)?.add(s),
            9 => self.max(a, b)?,
            10 => self.min(a, b)?,
            11 => self.max(a, s)?,
            12 => self.floor(a.div(Plain::of(-3.0))?)?.neg(),
            13 => self.floor(a)?,
            14 => {
                if self.le(a, b)? {
                    c
                } else {
                    a
                }
            }
            15 => {
                // All guards, for an expression may decide them in any order.
                let (low, over, far) =
                    (self.lt(a, Plain::of(0.0))?, self.lt(c, b)?, self.lt(s, c)?);
                if low || over {
                    b
                } else if far {
                    a
                } else {
                    c
                }
            }
            16 => a.mul(a),
            17 => self.root(a)?.add(b),
            18 => {
                let x = self.max(a, Plain::of(0.5))?;
                x.function(x.dual.ln(), 1.0 / x.re()).mul(b)
            }
            19 => {
                let x = self.min(a, Plain::of(2.0))?;
                x.function(x.dual.exp(), x.re().exp()).sub(b)
            }
            20 => {
                let last = self.inputs[4].min(4.0);
                self.sum(-2.0, last, |machine, i| Ok(machine.max(a, i.mul(b))?.add(i.mul(a))))?
            }
            21 => {
                let whole = self.floor(a.div(divisor)?)?;
                a.sub(whole.mul(divisor))
            }
            22 => {
                let (first, third) = (self.le(b, c)?, self.lt(s, a)?);
                let mut least = b;
                if first {
                    least = self.min(least, a)?;
                }
                if third { self.min(least, c)? } else { least }
            }
            23 => match (self.lt(c, b)?, self.lt(a, b)?) {
                (true, true) => self.min(a, c.add(s))?,
                (true, false) => a,
                (false, true) => c.add(s),
                (false, false) => return Err(Undecided),
            },
            24 => a.div(self.max(b, Plain::of(1.0))?)?,
            25 => self.sum(f64::from(small), self.inputs[3], |machine, i| {
                let line = a.add(i.mul(b));
                let other = machine.max(c, i)?;
                Ok(machine.min(line, other)?.sub(i.mul(a)))
            })?,
            26 => self.sum(f64::from(small), self.inputs[4], |_, i| {
                Ok(a.mul(i).mul(i).add(b.mul(i)).add(c))
            })?,
            27 => {
                let base = self.max(b, Plain::of(0.5))?;
                let exponent = self.min(a, Plain::of(3.0))?;
                let log = base.function(base.dual.ln(), 1.0 / base.re());
                let product = exponent.mul(log);
                product.function(product.dual.exp(), product.re().exp())
            }
            28 => {
                let at = self.floor(a)?.re().clamp(0.0, 3.0);
                Plain::of(TABLE[at as usize]).add(b)
            }
            _ => {
                let half = self.clamp(a)?.div(Plain::of(2.0))?;
                let twice = self.clamp(b)?.mul(Plain::of(2.0));
                let root = self.max(half, twice)?;
                // A search ends near the root, not on it.
                Plain { error: root.error + 1e-9 * (1.0 + root.re().abs()), ..root }
            }
        })
    }

    fn clamp(&mut self, x: Plain) -> Result<Plain> {
        let below = self.min(x, Plain::of(40.0))?;
        self.max(below, Plain::of(-40.0))
    }

    fn sum(
        &mut self,
        lo: f64,
        hi: f64,
        mut term: impl FnMut(&mut Machine, Plain) -> Result<Plain>,
    ) -> Result<Plain> {
        let mut total = Plain::of(0.0);
        let mut i = lo;
        while i <= hi {
            total = total.add(term(self, Plain::of(i))?);
            i += 1.0;
        }
        Ok(total)
    }

    /// Whether `a < b`, if that does not depend on rounding.
    fn lt(&mut self, a: Plain, b: Plain) -> Result<bool> {
        let (gap, error) = (b.re() - a.re(), a.error + b.error);
        self.tie |= gap.abs() <= 4.0 * error;
        if gap.abs() <= error && error > 0.0 || gap.is_nan() {
            return Err(Undecided);
        }
        Ok(gap > 0.0)
    }

    fn le(&mut self, a: Plain, b: Plain) -> Result<bool> {
        Ok(!self.lt(b, a)?)
    }

    /// The value of an extremum does not depend on who wins a tie.
    fn max(&mut self, a: Plain, b: Plain) -> Result<Plain> {
        let (gap, error) = (a.re() - b.re(), a.error + b.error);
        self.tie |= gap.abs() <= 4.0 * error;
        let won = if gap >= 0.0 { a } else { b };
        if gap.is_nan() {
            return Err(Undecided);
        }
        Ok(Plain { error: a.error.max(b.error), ..won })
    }

    fn min(&mut self, a: Plain, b: Plain) -> Result<Plain> {
        Ok(self.max(a.neg(), b.neg())?.neg())
    }

    fn floor(&mut self, x: Plain) -> Result<Plain> {
        let whole = x.re().floor();
        let near = (x.re() - x.re().round()).abs();
        self.tie |= near <= 4.0 * x.error;
        if near <= x.error && x.error > 0.0 || !whole.is_finite() || whole.abs() > 1e15 {
            return Err(Undecided);
        }
        Ok(Plain::of(whole))
    }

    /// `sqrt(max(x, 0))`.
    fn root(&mut self, x: Plain) -> Result<Plain> {
        let x = self.max(x, Plain::of(0.0))?;
        if x.re() <= x.error {
            self.tie = true;
            return Ok(Plain { error: (2.0 * x.error).sqrt(), ..Plain::of(0.0) });
        }
        let root = x.dual.sqrt();
        // The error may be as large as the value itself.
        let error = x.error / x.re().sqrt() + root.re * f64::EPSILON;
        Ok(Plain { dual: root, error, slope: x.slope / x.re().sqrt() })
    }
}

impl Plain {
    fn of(value: f64) -> Plain {
        Plain { dual: Dual64::new(value, 0.0), error: 0.0, slope: 0.0 }
    }

    fn re(self) -> f64 {
        self.dual.re
    }

    /// With the rounding of the last operation, unless it was one of integers.
    fn rounded(dual: Dual64, error: f64, slope: f64, exact: bool) -> Plain {
        let exact = exact && error == 0.0 && dual.re.abs() < 9e15;
        let own = if exact { 0.0 } else { dual.re.abs() * f64::EPSILON + f64::MIN_POSITIVE };
        Plain { dual, error: error + own, slope }
    }

    fn whole(self) -> bool {
        self.error == 0.0 && self.re().fract() == 0.0
    }

    fn add(self, other: Plain) -> Plain {
        let exact = self.whole() && other.whole();
        let (error, slope) = (self.error + other.error, self.slope + other.slope);
        Plain::rounded(self.dual + other.dual, error, slope, exact)
    }

    fn neg(self) -> Plain {
        Plain { dual: -self.dual, ..self }
    }

    fn sub(self, other: Plain) -> Plain {
        self.add(other.neg())
    }

    fn mul(self, other: Plain) -> Plain {
        let (x, y) = (self.re().abs(), other.re().abs());
        let error = x * other.error + y * self.error + self.error * other.error;
        let slope = x * other.slope + y * self.slope;
        Plain::rounded(self.dual * other.dual, error, slope, self.whole() && other.whole())
    }

    fn div(self, other: Plain) -> Result<Plain> {
        let (x, y) = (self.re().abs(), other.re().abs());
        if y <= other.error {
            return Err(Undecided);
        }
        let least = y - other.error;
        let error = (self.error + x / y * other.error) / least;
        let slope = (self.slope + x / y * other.slope) / y;
        let quotient = self.dual / other.dual;
        let exact = self.whole() && other.whole() && quotient.re.fract() == 0.0;
        Ok(Plain::rounded(quotient, error, slope, exact))
    }

    /// A smooth function of it, with its slope.
    fn function(self, dual: Dual64, slope: f64) -> Plain {
        let slope = slope.abs();
        // The slope at the other end of the error, generously, and a library that is off by an ulp.
        let error =
            2.0 * slope * self.error + 4.0 * f64::EPSILON * dual.re.abs() * (1.0 + self.error);
        Plain { dual, error: error + f64::MIN_POSITIVE, slope: slope * self.slope }
    }
}
