//! How much the objective of a module reacts to each symbol.

use crate::{ExprError, Module, Sort, Values};

/// The reaction of an objective `f` to one symbol `x` at one point.
///
/// The derivative treats an integer as if it were real, and sees no steps. For an integer symbol
/// [`down`](Sensitivity::down) and [`up`](Sensitivity::up) are what really happens.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sensitivity {
    /// The symbol.
    pub name: String,
    /// Its value `x` at the point.
    pub value: f64,
    /// `∂f/∂x` of the arms that decide at the point.
    pub derivative: f64,
    /// `x / f · ∂f/∂x`: percent of change in `f` per percent of change in `x`; `None` where `f` is
    /// 0.
    pub elasticity: Option<f64>,
    /// Whether `x` also acts through a step (`ceil`, `floor`, a limit of a sum), which the
    /// derivative does not see.
    pub steps: bool,
    /// `f(x − 1) − f(x)` for an integer symbol, if `x − 1` is in its domain and `f` is defined there.
    pub down: Option<f64>,
    /// `f(x + 1) − f(x)` for an integer symbol, if `x + 1` is in its domain and `f` is defined there.
    pub up: Option<f64>,
}

impl Module {
    /// Derivative, elasticity and integer steps of the objective by each of its symbols, in order
    /// of declaration; what is not in `values` has the module's own value.
    ///
    /// ```
    /// use sglsim_expr::{Context, Module, Symbol, Values, ceil_div};
    /// let cx = Context::new();
    /// let chunk = cx.symbol(Symbol::int("chunk").at_least(1.0))?;
    /// let rate = cx.symbol(Symbol::real("rate").positive().unit("token/s"))?;
    /// let time = ceil_div(1000, &chunk) * &chunk / &rate;
    /// let module = Module::new("prefill", "time", time);
    /// let at = module.sensitivities(&Values::from([("chunk", 250.0), ("rate", 5e3)]))?;
    /// // Twice the rate is half the time.
    /// assert_eq!(at[1].elasticity, Some(-1.0));
    /// // A chunk of 249 needs a fifth step, though the derivative promises less time.
    /// assert_eq!((at[0].derivative, at[0].steps), (8e-4, true));
    /// assert!(at[0].down.is_some_and(|change| change > 0.04));
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Module::evaluate`].
    pub fn sensitivities(&self, values: &Values) -> Result<Vec<Sensitivity>, ExprError> {
        let values = self.point(values)?;
        let value = self.objective.evaluate(&values)?;
        let symbols = self.objective.free_symbols();
        let names: Vec<&str> = symbols.iter().map(|symbol| symbol.name.as_str()).collect();
        // Evaluating has found a value for every symbol.
        let mut point: Vec<f64> =
            names.iter().map(|name| values.get(name).unwrap_or(f64::NAN)).collect();
        let program = self.objective.compile(&names)?;
        let mut gradient = program.gradient();
        let mut derivatives = vec![0.0; names.len()];
        gradient.eval(&point, &mut derivatives);
        let steps = gradient.steps();
        let mut evaluator = program.evaluator();
        let mut sensitivities = Vec::with_capacity(names.len());
        for (position, symbol) in symbols.iter().enumerate() {
            let x = point[position];
            let mut change = |by: f64| {
                if symbol.sort != Sort::Int || symbol.check(x + by).is_err() {
                    return None;
                }
                point[position] = x + by;
                let moved = evaluator.eval1(&point);
                point[position] = x;
                moved.is_finite().then_some(moved - value)
            };
            sensitivities.push(Sensitivity {
                name: symbol.name.clone(),
                value: x,
                derivative: derivatives[position],
                elasticity: (value != 0.0).then(|| x / value * derivatives[position]),
                steps: steps[position],
                down: change(-1.0),
                up: change(1.0),
            });
        }
        Ok(sensitivities)
    }
}
