//! What is proven about an expression holds at every point of the domain.

use proptest::prelude::*;
use sglsim_expr::{Context, Evaluator, Expr, Program, Sort, Symbol, Values, max};

use crate::random;

proptest! {
    #[test]
    fn ranges_and_sorts_hold(
        script in random::script(24),
        points in prop::collection::vec(random::point(), 8),
    ) {
        let expr = random::build(&random::Symbols::new(), &script);
        let (low, high) = expr.range();
        let sort = expr.sort();
        for point in points {
            let Ok(value) = expr.evaluate(&point) else { continue };
            // Ranges are of real numbers; the value was rounded at every step.
            let slack = 1e-9 * value.abs().max(1e-9);
            prop_assert!(low - slack <= value && value <= high + slack, "{expr}: {value} in [{low}, {high}]");
            if sort == Sort::Int && value.abs() < 1e9 {
                prop_assert!((value - value.round()).abs() <= slack, "{expr}: {value}");
            }
        }
    }

    /// Normalising one by one and all at once, bound or not, gives the same value.
    #[test]
    fn binding_keeps_the_value(script in random::script(24), point in random::point()) {
        let expr = random::build(&random::Symbols::new(), &script);
        let Ok(want) = expr.evaluate(&point) else { return Ok(()) };
        let some: Values = point.iter().filter(|(name, _)| *name != "x").collect();
        let bound = expr.bind(&some);
        prop_assume!(bound.check().is_ok());
        // Folding in another order may turn a rounding into a jump; those are rare.
        if let Ok(got) = bound.evaluate(&point)
            && !expr.to_string().contains("ceil")
            && !expr.to_string().contains("floor")
        {
            prop_assert!((got - want).abs() <= 1e-7 * want.abs().max(1e-3), "{expr}\n{bound}\n{got} {want}");
        }
    }
}

#[test]
fn handles_cross_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Context>();
    shared::<Expr>();
    shared::<Program>();
    fn sent<T: Send>() {}
    sent::<Evaluator>();

    // Two contexts copy from each other at the same time.
    let contexts = [Context::new(), Context::new()];
    let symbols = ["a", "b"].map(|name| {
        let cx = &contexts[usize::from(name == "b")];
        cx.symbol(Symbol::real(name)).unwrap()
    });
    std::thread::scope(|scope| {
        for (mine, theirs) in [(0, 1), (1, 0)] {
            let symbols = &symbols;
            scope.spawn(move || {
                for k in 1..500 {
                    let e = max(&symbols[mine] * k, &symbols[theirs] + k);
                    assert_eq!(e.free_symbols().len(), 2);
                }
            });
        }
    });
}
