//! The sysctls of IPVS over HTTP.

use axum::Json;
use axum::response::Response;

use super::answer::Shown;
use super::ask::Ask;
use super::condition::Condition;
use super::extract::{Body, Path};
use super::openapi::Refusals;
use crate::failure::Failure;
use crate::problem::ProblemKind;
use crate::sysctl::{Sysctl, SysctlView, SysctlWrite};

fn named(text: &str) -> Result<Sysctl, Failure> {
    text.parse().map_err(|none: crate::sysctl::NoSysctl| {
        Failure::new(ProblemKind::NoSuchSysctl, none.to_string())
    })
}

/// Lists the sysctls
#[utoipa::path(get, path = "/v1/sysctls", tag = "ipvs",
    responses((status = 200, body = Vec<SysctlView>), Refusals))]
pub(super) async fn list(ask: Ask) -> Result<Response, Failure> {
    ask.show(|control| Ok(Json(control.sysctls()?.views())))
        .await
}

/// Shows a sysctl
#[utoipa::path(get, path = "/v1/sysctls/{sysctl}", tag = "ipvs",
    params(("sysctl" = String, Path, description = "Its name, with or without net.ipv4.vs.",
        example = "conn_reuse_mode")),
    responses((status = 200, body = SysctlView), Refusals))]
pub(super) async fn show(ask: Ask, Path(name): Path<String>) -> Result<Response, Failure> {
    let sysctl = named(&name)?;
    ask.show(move |control| Ok(Shown(control.sysctls()?.view(sysctl))))
        .await
}

/// Writes a sysctl
#[utoipa::path(put, path = "/v1/sysctls/{sysctl}", tag = "ipvs",
    params(("sysctl" = String, Path, description = "Its name, with or without net.ipv4.vs.",
        example = "conn_reuse_mode")),
    request_body = SysctlWrite,
    responses((status = 200, body = SysctlView), Refusals))]
pub(super) async fn put(
    ask: Ask,
    condition: Condition,
    name: Path<String>,
    body: Body<SysctlWrite>,
) -> Result<Shown<SysctlView>, Failure> {
    write(ask, condition, name, body).await
}

/// Writes a sysctl; the same as PUT
#[utoipa::path(patch, path = "/v1/sysctls/{sysctl}", tag = "ipvs",
    params(("sysctl" = String, Path, description = "Its name, with or without net.ipv4.vs.",
        example = "conn_reuse_mode")),
    request_body = SysctlWrite,
    responses((status = 200, body = SysctlView), Refusals))]
pub(super) async fn change(
    ask: Ask,
    condition: Condition,
    name: Path<String>,
    body: Body<SysctlWrite>,
) -> Result<Shown<SysctlView>, Failure> {
    write(ask, condition, name, body).await
}

async fn write(
    ask: Ask,
    condition: Condition,
    Path(name): Path<String>,
    Body(SysctlWrite { value }): Body<SysctlWrite>,
) -> Result<Shown<SysctlView>, Failure> {
    let sysctl = named(&name)?;
    let present = move |control: &dyn crate::Control| Ok(control.sysctls()?.view(sysctl));
    let write = move |control: &dyn crate::Control| control.change_sysctl(sysctl, &value);
    let sysctls = ask.change(condition, present, write).await?;
    Ok(Shown(sysctls.view(sysctl)))
}
