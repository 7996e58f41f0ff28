// The contract as Swagger UI shows it, from this host alone.

window.SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true });
