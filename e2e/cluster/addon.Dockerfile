# A controller of somebody else's, as its own image is: one static program, found by its chart at /manager.
FROM scratch
COPY manager /manager
USER 65532:65532
ENTRYPOINT ["/manager"]
