curl -X POST \
-H "Authorization: Bearer my-secret-key" \
-H "Content-Type: text/yaml" \
--data-binary @examples/basic-metrics.yaml \
http://localhost:8080/scenarios
