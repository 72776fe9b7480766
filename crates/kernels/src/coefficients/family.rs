//! A kernel family's coefficients: declared once, used as values, as symbols and as a table.

/// One coefficient of a family: its field, unit, bounds and meaning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) bounds: (f64, f64),
    pub(crate) doc: &'static str,
}

/// Values of one kernel family, by field name.
pub(crate) trait Family {
    /// The fields in the order of their declaration.
    const FIELDS: &'static [Field];
    /// A field's value.
    fn field(&self, name: &str) -> Option<f64>;
    /// A field, to be changed.
    fn field_mut(&mut self, name: &str) -> Option<&mut f64>;
}

/// Declares the coefficients of a kernel family: the values, their symbols and their table.
///
/// ```text
/// family! {
///     /// What the values are.
///     Values => Symbols {
///         field: [low, high] "unit" "meaning, without a full stop";
///     }
/// }
/// ```
macro_rules! family {
    (
        $(#[$meta:meta])*
        $values:ident => $symbols:ident {
            $($field:ident: [$low:literal, $high:literal] $unit:literal $doc:literal;)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $values {
            $(
                #[doc = concat!($doc, " \\[", $unit, "\\]; ", $low, " to ", $high, ".")]
                pub $field: f64,
            )+
        }

        impl $crate::coefficients::Family for $values {
            const FIELDS: &'static [$crate::coefficients::Field] = &[
                $($crate::coefficients::Field {
                    name: stringify!($field),
                    unit: $unit,
                    bounds: ($low, $high),
                    doc: $doc,
                }),+
            ];

            fn field(&self, name: &str) -> Option<f64> {
                match name {
                    $(stringify!($field) => Some(self.$field),)+
                    _ => None,
                }
            }

            fn field_mut(&mut self, name: &str) -> Option<&mut f64> {
                match name {
                    $(stringify!($field) => Some(&mut self.$field),)+
                    _ => None,
                }
            }
        }

        #[doc = concat!("[`", stringify!($values), "`] as symbols, as laws see them.")]
        #[derive(Clone, Debug)]
        pub struct $symbols {
            $(#[doc = concat!($doc, " \\[", $unit, "\\].")] pub $field: sglsim_expr::Expr,)+
        }

        impl $symbols {
            pub(crate) fn declare(
                scope: &mut $crate::scope::Scope<'_>,
                family: &'static str,
                values: &$values,
            ) -> Result<Self, $crate::KernelError> {
                use $crate::coefficients::{CoefficientInfo, Family};
                let mut fields = $values::FIELDS.iter();
                let mut declare = |value: f64| {
                    let field = fields.next().expect("as many fields as symbols");
                    scope.coefficient(&CoefficientInfo::of(family, field), value)
                };
                Ok(Self { $($field: declare(values.$field)?,)+ })
            }
        }
    };
}
pub(crate) use family;
