//! Typed look-ups in a `config.json`.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};
use sglsim_units::Nearest;

use crate::check::in_words;
use crate::{Dtype, ModelError};

/// Groups of architectures that differ in what their configs leave unsaid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Llama, Mistral, Mixtral: everything is said.
    Llama,
    /// Biases on queries, keys and values.
    Qwen2,
    /// Norms on queries and keys.
    Qwen3,
    /// Latent attention.
    DeepSeek,
    /// Sinks, biases, alternating windows.
    GptOss,
    /// Not known.
    Other,
}

/// A config, with its `text_config` laid over it.
#[derive(Debug)]
pub(super) struct Config {
    fields: Map<String, Value>,
    architecture: String,
    family: Family,
}

impl Config {
    pub(super) fn parse(text: &str) -> Result<Self, ModelError> {
        let mut fields: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            let reason = error.to_string();
            ModelError::Syntax {
                line: error.line(),
                column: error.column(),
                field: String::new(),
                reason: reason
                    .rsplit_once(" at line ")
                    .map_or(&*reason, |(what, _)| what)
                    .to_owned(),
                nearest: Nearest::to("", []),
            }
        })?;
        if let Some(Value::Object(nested)) = fields.remove("text_config") {
            fields.extend(nested.into_iter().filter(|(_, value)| !value.is_null()));
        }
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let architecture = text(fields.get("architectures").and_then(|all| all.get(0)));
        let model_type = text(fields.get("model_type"));
        let family = [&architecture, &model_type]
            .into_iter()
            .flatten()
            .map(|name| Family::of(name))
            .find(|family| *family != Family::Other)
            .unwrap_or(Family::Other);
        let architecture =
            architecture.or(model_type).unwrap_or_else(|| "an unnamed architecture".to_owned());
        Ok(Self { fields, architecture, family })
    }

    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// A field that is there and not null.
    pub(super) fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    /// A field that must be there.
    pub(super) fn required(&self, field: &'static str) -> Result<&Value, ModelError> {
        self.get(field).ok_or_else(|| {
            // No needed field that is often misspelt holds a string: `hidden_act` is no `hidden_size`.
            let others = self.fields.iter().filter(|(_, value)| !value.is_string());
            ModelError::Missing {
                field,
                architecture: self.architecture.clone(),
                nearest: Nearest::to(
                    field,
                    others.map(|(name, _)| name.as_str()).filter(|name| *name != field),
                ),
            }
        })
    }

    /// An integer that must be there.
    pub(super) fn count(
        &self,
        field: &'static str,
        allowed: RangeInclusive<u32>,
    ) -> Result<u32, ModelError> {
        integer(field, self.required(field)?, &allowed)
    }

    /// An integer that may be absent or null.
    pub(super) fn optional(
        &self,
        field: &str,
        allowed: RangeInclusive<u32>,
    ) -> Result<Option<u32>, ModelError> {
        self.get(field).map(|value| integer(field, value, &allowed)).transpose()
    }

    /// A truth value that may be absent or null.
    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, ModelError> {
        self.get(field)
            .map(|value| value.as_bool().ok_or_else(|| refused(field, value, "true or false")))
            .transpose()
    }

    /// A string that may be absent or null.
    pub(super) fn text(&self, field: &str) -> Result<Option<&str>, ModelError> {
        self.get(field)
            .map(|value| value.as_str().ok_or_else(|| refused(field, value, "a string")))
            .transpose()
    }

    /// A string that must be there and be one of `allowed`.
    pub(super) fn one_of(&self, field: &'static str, allowed: &[&str]) -> Result<(), ModelError> {
        let value = self.required(field)?;
        match value.as_str() {
            Some(text) if allowed.contains(&text) => Ok(()),
            _ => Err(refused(field, value, &allowed.join(", "))),
        }
    }

    /// The name under which this config counts its routed experts, if it has any.
    pub(super) fn experts_field(&self) -> Option<&'static str> {
        ["n_routed_experts", "num_experts", "num_local_experts"]
            .into_iter()
            .find(|field| self.get(field).is_some_and(|count| count.as_u64() != Some(0)))
    }

    /// The kind of each layer, if the config lists them.
    pub(super) fn kinds_of_layers(&self) -> Result<Option<impl Iterator<Item = &str>>, ModelError> {
        let Some(kinds) = self.get("layer_types") else { return Ok(None) };
        let known = ["full_attention", "sliding_attention"];
        let all = kinds.as_array().ok_or_else(|| refused("layer_types", kinds, "a list"))?;
        match all.iter().find(|kind| !kind.as_str().is_some_and(|kind| known.contains(&kind))) {
            Some(kind) => Err(refused("layer_types", kind, &known.join(", "))),
            None => Ok(Some(all.iter().filter_map(Value::as_str))),
        }
    }

    /// Format of the activations; float32 is served as fp16, an unstated one as bf16.
    pub(super) fn activations(&self) -> Result<Dtype, ModelError> {
        let field = if self.get("torch_dtype").is_some() { "torch_dtype" } else { "dtype" };
        match self.text(field)?.map(|text| text.trim_start_matches("torch.")) {
            None | Some("bfloat16") => Ok(Dtype::Bf16),
            Some("float16" | "half" | "float32" | "float") => Ok(Dtype::Fp16),
            Some(other) => Err(refused(field, &other.into(), "bfloat16, float16, float32")),
        }
    }
}

impl Family {
    /// The family of an architecture (`Qwen3MoeForCausalLM`) or model type (`qwen3_moe`).
    fn of(name: &str) -> Self {
        match name.trim_end_matches("ForCausalLM").to_lowercase().replace('_', "").as_str() {
            "llama" | "mistral" | "mixtral" => Family::Llama,
            "qwen2" | "qwen2moe" => Family::Qwen2,
            "qwen3" | "qwen3moe" => Family::Qwen3,
            "deepseekv2" | "deepseekv3" => Family::DeepSeek,
            "gptoss" => Family::GptOss,
            _ => Family::Other,
        }
    }
}

fn integer(field: &str, value: &Value, allowed: &RangeInclusive<u32>) -> Result<u32, ModelError> {
    value
        .as_u64()
        .and_then(|value| u32::try_from(value).ok())
        .filter(|value| allowed.contains(value))
        .ok_or_else(|| refused(field, value, &format!("the integers {}", in_words(allowed))))
}

/// The error for a value that is not one of the allowed ones.
pub(super) fn refused(field: &str, value: &Value, allowed: &str) -> ModelError {
    ModelError::OutOfRange {
        field: field.to_owned(),
        value: value.to_string(),
        allowed: allowed.to_owned(),
    }
}
