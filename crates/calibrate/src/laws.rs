//! The laws of `kernels` for the calls of a data set, compiled for fitting and scoring.

use std::collections::BTreeMap;

use sglsim_expr::{Context, Expr, Program, Values};
use sglsim_hw::Topology;
use sglsim_kernels::{CoefficientInfo, Coefficients, Hardware, LawSet};

use crate::CalibrateError;
use crate::dataset::{Dataset, Sample, Variant};
use crate::operator::{BYTE, Call, Kind, Operator, symbol_name};

/// Families that say how work is spread, not how fast the hardware is: measured by a run, not here.
const NOT_OF_THE_HARDWARE: &[&str] = &["expert"];

/// Hardware, its figures and θ, in which laws are built.
pub(crate) struct Laws {
    cx: Context,
    on: Hardware,
    set: LawSet,
    /// Figures of the hardware, and coefficients that are never fitted.
    fixed: Values,
    /// θ: what may be fitted.
    pub(crate) theta: Vec<CoefficientInfo>,
}

/// The law of one variant.
pub(crate) struct Law {
    time: Expr,
    /// Names of the inputs that a row gives, and which of its numbers they are.
    inputs: Vec<(String, usize)>,
    /// Coefficients in it, by their place in [`Laws::theta`].
    pub(crate) theta: Vec<usize>,
}

impl Laws {
    pub(crate) fn of(
        topology: &Topology,
        coefficients: &Coefficients,
    ) -> Result<Self, CalibrateError> {
        let cx = Context::new();
        let (on, values) = Hardware::of(&cx, "", topology, coefficients)?;
        let theta: Vec<CoefficientInfo> = Coefficients::infos()
            .filter(|info| !NOT_OF_THE_HARDWARE.contains(&info.family))
            .collect();
        let mut fixed = values.with(BYTE, 1.0);
        for info in &theta {
            fixed.remove(&info.name());
        }
        Ok(Self { cx, on, set: LawSet::default(), fixed, theta })
    }

    /// The law of a variant, or why it has none.
    pub(crate) fn law(&self, variant: &Variant) -> Result<Result<Law, String>, CalibrateError> {
        let Variant { operator, words, sizes } = variant;
        let call = Call::new(operator, (sizes, words), &self.cx, (&self.set, &self.on))?;
        let time = match (operator.law)(&call) {
            Ok(time) => time,
            Err(reason) => return Ok(Err(reason)),
        };
        time.check()?;
        let symbols = time.free_symbols();
        let free = |name: &str| symbols.iter().any(|symbol| symbol.name == name);
        let theta = (0..self.theta.len()).filter(|at| free(&self.theta[*at].name())).collect();
        Ok(Ok(Law { time, inputs: inputs(operator), theta }))
    }

    /// The laws of all variants, or why one has none.
    pub(crate) fn all(&self, data: &Dataset) -> Result<Vec<Result<Law, String>>, CalibrateError> {
        data.variants.iter().map(|variant| self.law(variant)).collect()
    }

    /// Time as a function of the row's numbers and of the law's coefficients.
    pub(crate) fn program(&self, law: &Law) -> Result<Program, CalibrateError> {
        let names: Vec<String> = law.theta.iter().map(|at| self.theta[*at].name()).collect();
        let rows = law.inputs.iter().map(|(name, _)| name.as_str());
        let inputs: Vec<&str> = rows.chain(names.iter().map(String::as_str)).collect();
        Ok(law.time.bind(&self.fixed).compile(&inputs)?)
    }

    /// Time as a function of the row's numbers and of the hardware's figures, whose names and values
    /// are returned with it.
    pub(crate) fn of_hardware(
        &self,
        law: &Law,
        theta: &Values,
    ) -> Result<(Program, Vec<(String, f64)>), CalibrateError> {
        let symbols = law.time.free_symbols();
        let figures: Vec<(String, f64)> = self
            .fixed
            .iter()
            .filter(|(name, _)| symbols.iter().any(|symbol| symbol.name == *name))
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let rows = law.inputs.iter().map(|(name, _)| name.as_str());
        let inputs: Vec<&str> = rows.chain(figures.iter().map(|(name, _)| name.as_str())).collect();
        Ok((law.time.bind(theta).compile(&inputs)?, figures))
    }

    /// Values of θ by name.
    pub(crate) fn values(&self, coefficients: &Coefficients) -> Values {
        let value = |info: &CoefficientInfo| {
            let name = info.name();
            let value = coefficients.get(&name).expect("every info has a value");
            (name, value)
        };
        self.theta.iter().map(value).collect()
    }
}

impl Law {
    /// The numbers of a sample that are inputs of its law.
    pub(crate) fn inputs<'a>(
        &'a self,
        data: &'a Dataset,
        sample: &Sample,
    ) -> impl Iterator<Item = f64> + 'a {
        let numbers = data.numbers(sample);
        self.inputs.iter().map(move |(_, at)| numbers[*at])
    }

    /// How many inputs a row gives.
    pub(crate) fn width(&self) -> usize {
        self.inputs.len()
    }
}

fn inputs(operator: &Operator) -> Vec<(String, usize)> {
    let numbers = operator.numbers().enumerate();
    numbers
        .filter(|(_, argument)| argument.kind != Kind::Size)
        .map(|(at, argument)| (symbol_name(argument), at))
        .collect()
}

/// Groups of laws that share coefficients, directly or through others: what must be fitted at once.
pub(crate) fn components(laws: &[Result<Law, String>]) -> Vec<Component> {
    let mut found: Vec<Component> = Vec::new();
    for (variant, law) in laws.iter().enumerate() {
        let Ok(law) = law else { continue };
        let own = Component { variants: vec![variant], theta: law.theta.clone() };
        let (touching, apart): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|it| it.theta.iter().any(|theta| own.theta.contains(theta)));
        found = apart;
        found.push(touching.into_iter().fold(own, Component::with));
    }
    for it in &mut found {
        it.variants.sort_unstable();
        it.theta.sort_unstable();
        it.theta.dedup();
    }
    found.sort_by(|a, b| a.theta.cmp(&b.theta));
    found
}

/// Variants and the coefficients in their laws.
#[derive(Debug)]
pub(crate) struct Component {
    pub(crate) variants: Vec<usize>,
    pub(crate) theta: Vec<usize>,
}

impl Component {
    fn with(mut self, other: Self) -> Self {
        self.variants.extend(other.variants);
        self.theta.extend(other.theta);
        self
    }

    /// What it is called: the families of its coefficients.
    pub(crate) fn name(&self, laws: &Laws) -> String {
        let families: BTreeMap<&str, ()> =
            self.theta.iter().map(|at| (laws.theta[*at].family, ())).collect();
        families.into_keys().collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use sglsim_hw::Gpu;
    use sglsim_units::HashMap;

    use super::*;

    /// A law whose units do not fit would be found only by whoever has a table of that operator.
    #[test]
    fn every_operator_has_a_law_at_its_defaults() {
        let topology = Topology::of(Gpu::preset("H100").unwrap()).unwrap();
        let theta = Coefficients::for_architecture(topology.gpu().architecture);
        let laws = Laws::of(&topology, &theta).unwrap();
        let of_model: HashMap<&str, f64> =
            [("top_k", 8.0), ("num_experts", 64.0)].into_iter().collect();
        for operator in Operator::all() {
            let sizes = operator.arguments.iter().filter(|argument| argument.kind == Kind::Size);
            let size = |argument: &crate::Argument| match argument.default {
                Some(text) => text.parse().unwrap(),
                None => of_model.get(argument.name).copied().unwrap_or(128.0),
            };
            let word = |argument: &crate::Argument| {
                argument.default.unwrap_or_default().trim_matches('\'').to_owned()
            };
            let variant = Variant {
                operator,
                sizes: sizes.map(size).collect(),
                words: operator.words().map(word).collect(),
            };
            let law = laws.law(&variant).unwrap_or_else(|error| panic!("{operator:?}: {error}"));
            let law = law.unwrap_or_else(|reason| panic!("{operator:?}: {reason}"));
            assert!(!law.theta.is_empty(), "{operator:?} has nothing to fit");
        }
    }
}
