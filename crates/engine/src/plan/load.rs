//! What a scenario names: presets and files of models, GPUs, links and calibrations.

use std::path::Path;

use sglsim_hw::{Gpu, HwError, Link, Topology};
use sglsim_kernels::Coefficients;
use sglsim_model::{ModelError, ModelShape};

use crate::scenario::{Hardware, Scenario, ScenarioError};

pub(super) fn load_model(scenario: &Scenario, base: &Path) -> Result<ModelShape, ScenarioError> {
    let name = &scenario.model;
    let loaded = if !is_file(name) {
        ModelShape::preset(name)
    } else if name.ends_with(".json") {
        ModelShape::from_hf_config(base.join(name))
    } else {
        ModelShape::from_file(base.join(name))
    };
    let prepared = loaded.and_then(|mut model: ModelShape| {
        if let Some(dtype) = scenario.quantization {
            model.weights = dtype;
            if let Some(moe) = &mut model.moe {
                moe.expert_weights = dtype;
            }
        }
        if let Some(dtype) = scenario.kv_cache_dtype {
            model.kv_cache = dtype;
        }
        model.check().map(|()| model)
    });
    prepared.map_err(|source: ModelError| ScenarioError::Model(source))
}

/// θ of a GPU: the calibration that the scenario names or that comes with sglsim, and what the
/// scenario changes.
pub(super) fn coefficients(
    scenario: &Scenario,
    base: &Path,
    gpu: &Gpu,
) -> Result<Coefficients, ScenarioError> {
    let mut theta = Coefficients::calibrated(gpu, scenario.calibration.as_deref(), base)
        .map_err(|source| ScenarioError::Pool { pool: "calibration", source })?;
    for (name, value) in &scenario.coefficients {
        theta
            .set(name, *value)
            .map_err(|source| ScenarioError::Pool { pool: "coefficients", source })?;
    }
    if !scenario.coefficients.is_empty() {
        theta.provenance += &format!("; {} set by the scenario", scenario.coefficients.len());
    }
    Ok(theta)
}

pub(super) fn load_topology(hardware: &Hardware, base: &Path) -> Result<Topology, HwError> {
    let gpu = if is_file(&hardware.gpu) {
        Gpu::from_file(base.join(&hardware.gpu))?
    } else {
        Gpu::preset(&hardware.gpu)?
    };
    let scale_up = Link::preset(hardware.scale_up.as_ref().unwrap_or(&gpu.scale_up))?;
    let scale_out = Link::preset(hardware.scale_out.as_ref().unwrap_or(&gpu.scale_out))?;
    let gpus_per_node = hardware.gpus_per_node.unwrap_or(gpu.gpus_per_node);
    let host_link = hardware.host_link.as_deref().map(Link::preset).transpose()?;
    let topology = Topology::new(gpu, gpus_per_node, scale_up, scale_out)?;
    Ok(match host_link {
        Some(link) => topology.with_host_link(link),
        None => topology,
    })
}

/// Whether a name is meant as a file: it ends like one.
fn is_file(name: &str) -> bool {
    let extension = Path::new(name).extension();
    extension.is_some_and(|extension| extension == "ron" || extension == "json")
}
