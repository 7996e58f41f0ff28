// The contract as Swagger UI shows it, from this host alone.

// Whatever stands in a field is sent, so the form to try starts empty: a sample of every field, a deadline of 1 s among
// them, is refused, and a default that is sent is a choice.
function withoutSamples(contract) {
  for (const field of Object.values(contract.components.schemas.EditForm.properties)) {
    const { default: standard, examples = [], contentMediaType } = field;
    if (standard !== undefined && standard !== null) field.description += ` Default: \`${standard}\`.`;
    if (examples.length > 0) field.description += ` Example: \`${examples[0]}\`.`;
    delete field.default;
    delete field.examples;
    field.example = field.type === "array" ? [] : "";
    if (contentMediaType === "application/json") {
      // Text to type, which Swagger UI takes for a file.
      delete field.contentMediaType;
      delete field.contentSchema;
    }
  }
  return contract;
}

window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  plugins: [
    () => ({
      // "Send empty value", which is ticked at first.
      components: { ParameterIncludeEmpty: () => null },
      statePlugins: {
        spec: { wrapActions: { updateJsonSpec: (update) => (contract) => update(withoutSamples(contract)) } },
      },
    }),
  ],
});
