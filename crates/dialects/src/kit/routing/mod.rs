//! From a path to a handler: routes, dispatch, concurrency limits, and the state that handlers use.

mod concurrency;
pub(crate) mod dispatch;
mod idempotency;
mod operation;
mod page_positions;
mod route;
pub mod transfers;

pub use concurrency::{ConcurrencyLimiter, ConcurrencyLimits, LARGE_RESPONSE, Permit};
pub use dispatch::{HandledRequest, PendingRequest, aborted_response, receive_head};
pub(crate) use idempotency::{
    TemporaryResponse, header_parameter as idempotency_header, is_temporary_error, is_temporary_status, takes_key,
    upload_key,
};
pub(crate) use operation::param;
pub use operation::{MethodSpec, Parameter, RequiredAccess, SuccessResponse};
pub(crate) use page_positions::ListKey;
pub use page_positions::PagePositions;
pub(crate) use route::route_method;
pub use route::{
    AppState, Handler, MatchedRoute, Route, RouteMatch, RouteMethod, RoutePath, RouteTable, claiming_dialect,
    route_paths,
};
