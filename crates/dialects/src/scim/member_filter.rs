//! Group filters that test members.

use super::read;
use crate::kit::{AppState, DialectRequest, RequestError};
use directory::{AttributeValue, Field, Filter, ItemId};
use http::StatusCode;

fn invalid_filter(text: &str) -> RequestError {
    RequestError::dialect_specific(StatusCode::BAD_REQUEST, "invalidFilter", text)
}

/// Replaces tests of members by tests of the group's id, since a user's groups are stored with the user.
pub(super) async fn resolve(
    state: &AppState,
    request: &DialectRequest,
    filter: Filter,
) -> Result<Filter, RequestError> {
    let resolve_all = async |filters: Vec<Filter>| {
        let mut done = Vec::with_capacity(filters.len());
        for filter in filters {
            done.push(Box::pin(resolve(state, request, filter)).await?);
        }
        Ok::<_, RequestError>(done)
    };
    Ok(match filter {
        Filter::All(filters) => Filter::All(resolve_all(filters).await?),
        Filter::Any(filters) => Filter::Any(resolve_all(filters).await?),
        Filter::Not(filter) => Filter::Not(Box::new(Box::pin(resolve(state, request, *filter)).await?)),
        Filter::ValuePath(Field::Members, filter) => match *filter {
            Filter::Comparison(mut test) if test.field == Field::Value => {
                (test.field, test.sub_attribute) = (Field::Members, Some(Field::Value));
                Box::pin(resolve(state, request, Filter::Comparison(test))).await?
            }
            _ => return Err(invalid_filter("A filter in brackets on members can test only one value")),
        },
        Filter::Comparison(test) if test.field == Field::Members => {
            use directory::{CompareOp, Comparison};
            let AttributeValue::Text(id) = &test.value else {
                return Err(invalid_filter("Of members, only value is filterable"));
            };
            let is_equality = matches!(test.op, CompareOp::Equal | CompareOp::NotEqual);
            if !is_equality {
                return Err(invalid_filter("members.value supports only eq and ne"));
            }
            let groups: Vec<ItemId> = match state.directory.user(request.caller()?, read::user_key(id)).await {
                Ok(user) => user.groups,
                Err(directory::DirectoryError::NoSuchUser) => Vec::new(),
                Err(error) => return Err(error.into()),
            };
            let is = |id: &ItemId| {
                Filter::Comparison(Comparison::new(
                    Field::Id,
                    None,
                    CompareOp::Equal,
                    AttributeValue::text(id.to_string()),
                    true,
                ))
            };
            let any = Filter::Any(groups.iter().map(is).collect());
            if test.op == CompareOp::NotEqual { Filter::Not(Box::new(any)) } else { any }
        }
        other => other,
    })
}
