//! The sysctls of IPVS over HTTP.

use axum::Json;
use axum::extract::{Path, State};

use super::Ask;
use super::answer::Failure;
use super::extract::Body;
use crate::problem::ProblemKind;
use crate::sysctl::{Sysctl, SysctlView, SysctlWrite};

fn named(text: &str) -> Result<Sysctl, Failure> {
    text.parse().map_err(|none: crate::sysctl::NoSysctl| {
        Failure::new(ProblemKind::NoSuchSysctl, none.to_string())
    })
}

pub(super) async fn list(State(ask): State<Ask>) -> Result<Json<Vec<SysctlView>>, Failure> {
    let sysctls = ask.run(|control| control.sysctls()).await?;
    Ok(Json(sysctls.views()))
}

pub(super) async fn show(
    State(ask): State<Ask>,
    Path(name): Path<String>,
) -> Result<Json<SysctlView>, Failure> {
    let sysctl = named(&name)?;
    let sysctls = ask.run(|control| control.sysctls()).await?;
    Ok(Json(sysctls.view(sysctl)))
}

pub(super) async fn write(
    State(ask): State<Ask>,
    Path(name): Path<String>,
    Body(SysctlWrite { value }): Body<SysctlWrite>,
) -> Result<Json<SysctlView>, Failure> {
    let sysctl = named(&name)?;
    let sysctls = ask
        .run(move |control| control.change_sysctl(sysctl, &value))
        .await?;
    Ok(Json(sysctls.view(sysctl)))
}
