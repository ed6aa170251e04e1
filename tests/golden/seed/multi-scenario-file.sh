curl -X POST \
-H "Content-Type: text/yaml" \
--data-binary @examples/multi-scenario.yaml \
http://localhost:8080/scenarios
