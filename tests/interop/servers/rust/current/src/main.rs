//! Two tools on the current Rust SDK; argument: stdio or http.
use std::error::Error;

use rmcp::{
    ServiceExt,
    handler::server::wrapper::Parameters,
    tool, tool_router,
    transport::{
        stdio,
        streamable_http_server::{
            StreamableHttpService, session::local::LocalSessionManager,
        },
    },
};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Clone)]
struct Server;

#[derive(Deserialize, JsonSchema)]
struct Text {
    /// What is given back.
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Pair {
    a: i64,
    b: i64,
}

#[tool_router(server_handler)]
impl Server {
    #[tool(name = "echo", description = "Give a text back.")]
    fn echo(&self, Parameters(Text { text }): Parameters<Text>) -> String {
        text
    }

    #[tool(name = "add", description = "Add two numbers.")]
    fn add(&self, Parameters(Pair { a, b }): Parameters<Pair>) -> String {
        a.wrapping_add(b).to_string()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("http") {
        let service = StreamableHttpService::new(
            || Ok(Server),
            LocalSessionManager::default().into(),
            Default::default(),
        );
        let router = axum::Router::new().nest_service("/mcp", service);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
        axum::serve(listener, router).await?;
    } else {
        Server.serve(stdio()).await?.waiting().await?;
    }
    Ok(())
}
